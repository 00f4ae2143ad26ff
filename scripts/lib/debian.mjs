// What the tests need from Debian: says what is missing, installs it where that is wanted.
import { spawnSync } from "node:child_process";
import { Failure, ROOT, mustRun } from "./project.mjs";

/** @typedef {import("../../test/support/needs.js").Need} Need */

/**
 * Asks the module that the tests ask; so it is compiled first.
 *
 * @returns {Promise<Need[]>} what the tests need and this machine does not have
 */
export async function missingNeeds() {
  const url = new URL("build/test/support/needs.js", `file://${ROOT}/`).href;
  /** @type {unknown} */
  const module = await import(url);
  return /** @type {typeof import("../../test/support/needs.js")} */ (module).missingNeeds();
}

/**
 * The one command that installs these packages, as the user types it.
 *
 * @param {readonly Need[]} needs
 * @returns {string}
 */
export function installCommand(needs) {
  return ["sudo apt-get install --yes --no-install-recommends", ...needs.map((need) => need.package)].join(
    " ",
  );
}

/**
 * Installs packages with apt-get, as root or through a sudo that does not ask.
 *
 * @param {readonly Need[]} needs
 * @returns {Promise<void>}
 */
export async function installNeeds(needs) {
  const packages = needs.map((need) => need.package);
  const prefix = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  /** @param {string[]} args */
  const aptGet = (...args) => {
    const [program, ...rest] = [...prefix, "apt-get", ...args];
    if (program === undefined) throw new Failure("no command to run");
    mustRun(`apt-get ${args.join(" ")}`, program, rest, { env });
  };
  aptGet("update", "--quiet");
  aptGet("install", "--quiet", "--yes", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", ...packages);
  const still = await missingNeeds();
  if (still.length > 0) {
    const list = still.map((need) => `${need.package} (${need.provides})`).join(", ");
    throw new Failure(`apt-get installed the packages, but this is still not there: ${list}`);
  }
}

/** @returns {boolean} true where apt-get is there to be used */
export function hasAptGet() {
  return spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status === 0;
}
