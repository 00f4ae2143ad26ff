// Who installs Trapline installs these packages with it: are they all under a licence that goes with
// Apache-2.0, and do they carry its text? Exit status 1 where one is not or does not.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Failure, ROOT, main, textOf } from "./lib/project.mjs";

/** SPDX identifiers of licences that ask for no more than that their text goes along. */
const ALLOWED = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "ISC",
  "MIT",
]);

const LICENCE_FILE = /^(licen[cs]e|copying)([.-].*)?$/i;

/**
 * @typedef {object} Locked  one package in package-lock.json
 * @property {string} [version]
 * @property {boolean} [dev]
 * @property {boolean} [optional]
 * @property {string} [license]
 */

await main(() => {
  /** @type {unknown} */
  const lock = JSON.parse(textOf("package-lock.json") ?? "{}");
  const { packages = {} } = /** @type {{ packages?: Record<string, Locked> }} */ (lock);
  const shipped = Object.entries(packages).filter(([path, { dev }]) => path !== "" && dev !== true);
  if (shipped.length === 0) throw new Failure("package-lock.json names no dependency: nothing was checked");

  const complaints = shipped.flatMap(([path, locked]) => complaintsAbout(path, locked));
  for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
  const used = [...new Set(shipped.map(([, { license }]) => license))].sort().join(", ");
  process.stdout.write(`${shipped.length} packages: ${used}\n`);
  return complaints.length === 0 ? 0 : 1;
});

/**
 * @param {string} path  in node_modules
 * @param {Locked} locked
 * @returns {string[]}
 */
function complaintsAbout(path, locked) {
  const name = `${path.replace(/^.*node_modules\//, "")} ${locked.version ?? ""}`;
  const manifest = textOf(join(path, "package.json"));
  if (manifest === undefined) {
    // For another system; npm left it out, and the lock file says what its author declared.
    if (locked.optional) return isAllowed(locked.license) ? [] : [notAllowed(name, locked.license)];
    return [`${name} is not installed: run npm ci`];
  }
  /** @type {unknown} */
  const parsed = JSON.parse(manifest);
  const declared = /** @type {{ license?: unknown }} */ (parsed).license;
  const complaints = [];
  if (!isAllowed(declared)) complaints.push(notAllowed(name, declared));
  // A part of another package, for one system, stands under the licence text of the whole.
  const carriesText = readdirSync(join(ROOT, path)).some((file) => LICENCE_FILE.test(file));
  if (!carriesText && !locked.optional) complaints.push(`${name} carries no licence text`);
  return complaints;
}

/**
 * @param {string} name
 * @param {unknown} declared
 * @returns {string}
 */
function notAllowed(name, declared) {
  return `${name} is under ${JSON.stringify(declared)}, which is not in ALLOWED of scripts/licences.mjs`;
}

/**
 * An identifier, or a choice of which one is allowed, or several of which all are.
 *
 * @param {unknown} expression  SPDX, as package.json has it
 * @returns {boolean}
 */
function isAllowed(expression) {
  if (typeof expression !== "string") return false;
  const plain = expression.replace(/^\((.*)\)$/, "$1");
  if (/[()]/.test(plain)) return false;
  return plain.split(/ OR /).some((choice) => choice.split(/ AND /).every((id) => ALLOWED.has(id.trim())));
}
