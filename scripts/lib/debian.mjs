// What the tests need from Debian: says what is missing, installs it where that is wanted.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { Failure, mustRun, textOf } from "./project.mjs";

/**
 * @typedef {object} Need  one entry of test/needs.json
 * @property {string} package
 * @property {string} provides  a command in $PATH, or the absolute path of a file
 * @property {string} why
 */

/**
 * @returns {Need[]} what the tests need and this machine does not have
 */
export function missingNeeds() {
  const needs = /** @type {Need[]} */ (JSON.parse(textOf("test/needs.json") ?? "[]"));
  return needs.filter(({ provides }) => !isThere(provides));
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
 * @returns {void}
 */
export function installNeeds(needs) {
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
  aptGet("install", "--quiet", "--yes", "--no-install-recommends", ...packages);
  const still = needs.filter(({ provides }) => !isThere(provides));
  if (still.length > 0) {
    const list = still.map((need) => `${need.package} (${need.provides})`).join(", ");
    throw new Failure(`apt-get installed the packages, but this is still not there: ${list}`);
  }
}

/** @returns {boolean} true where apt-get is there to be used */
export function hasAptGet() {
  return spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status === 0;
}

/**
 * @param {string} provides
 * @returns {boolean}
 */
function isThere(provides) {
  const candidates = isAbsolute(provides)
    ? [provides]
    : (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, provides));
  return candidates.some((path) => {
    try {
      accessSync(path, isAbsolute(provides) ? constants.R_OK : constants.X_OK);
      return true;
    } catch {
      // Not there, or not for us: the next folder may have it.
      return false;
    }
  });
}
