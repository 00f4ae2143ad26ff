// Are the packages that package-lock.json names installed? If not, `npm ci` installs them.
import { Failure, run, textOf } from "./project.mjs";

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {boolean} [optional]
 * @property {readonly string[]} [os]
 * @property {readonly string[]} [cpu]
 * @property {readonly string[]} [libc]
 */

/** Trapline traces Linux on x86-64; elsewhere only `trapline doctor` runs, and the install is forced. */
export const SUPPORTED = process.platform === "linux" && process.arch === "x64";

/**
 * Brings node_modules to what package-lock.json says; does nothing where it is that already.
 *
 * @returns {void}
 */
export function install() {
  const missing = firstNotInstalled();
  if (missing === undefined) return;
  process.stderr.write(`npm ci: ${missing} is not installed yet\n`);
  // No package of ours needs a script of its own to be installed, so none is run: koffi's finds that the
  // library it would build has come with the package for this system.
  const args = ["ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund"];
  if (!SUPPORTED) args.push("--force");
  // Under `npm run`, the same npm; called by hand, the one in $PATH.
  const npm = process.env["npm_execpath"];
  const status = npm?.endsWith("npm-cli.js") ? run(process.execPath, [npm, ...args]) : run("npm", args);
  if (status !== 0) {
    throw new Failure(
      `npm ci failed with status ${status}; what it said stands above. Is the npm registry within reach?`,
    );
  }
}

/**
 * Compares the lock file with the one that npm leaves in node_modules.
 *
 * @returns {string | undefined} the first package that is missing or of another version
 */
function firstNotInstalled() {
  const wanted = packagesOf("package-lock.json");
  const present = packagesOf("node_modules/.package-lock.json");
  for (const [path, locked] of Object.entries(wanted)) {
    if (path === "" || (locked.optional && !isForUs(locked))) continue;
    if (present[path]?.version !== locked.version) {
      return `${path.replace(/^.*node_modules\//, "")} ${locked.version ?? ""}`.trim();
    }
  }
  return undefined;
}

/**
 * @param {string} path
 * @returns {Record<string, LockedPackage>}
 */
function packagesOf(path) {
  const text = textOf(path);
  if (text === undefined) return {};
  /** @type {unknown} */
  const lock = JSON.parse(text);
  return /** @type {{ packages?: Record<string, LockedPackage> }} */ (lock).packages ?? {};
}

/**
 * An optional package that npm installs on this machine for certain: one that names our system. One
 * that names a C library as well may or may not be for us; npm knows.
 *
 * @param {LockedPackage} locked
 * @returns {boolean}
 */
function isForUs(locked) {
  return (
    locked.libc === undefined &&
    locked.os?.includes(process.platform) === true &&
    locked.cpu?.includes(process.arch) === true
  );
}
