// What every script needs to know about this clone: where it is, what it consists of, how to run things in it.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The clone's root, absolute. Every script works there, wherever it was called from. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** A failure with a sentence for its reader; {@link main} prints it without a stack. */
export class Failure extends Error {}

/**
 * Runs a script's body and ends the process with the status that it returns.
 *
 * @param {() => number | Promise<number>} body
 * @returns {Promise<void>}
 */
export async function main(body) {
  try {
    process.exitCode = await body();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

/**
 * Runs a program in the clone with our standard streams.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ env?: Record<string, string> }} [options] variables added to our own
 * @returns {number} its exit status; 128 + the signal's number where a signal ended it, as a shell has it
 */
export function run(program, args, { env = {} } = {}) {
  const done = spawnSync(program, [...args], {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (done.error) throw new Failure(`cannot run ${program}: ${done.error.message}`);
  return done.status ?? 128 + (SIGNALS[done.signal ?? ""] ?? 0);
}

/** @type {Readonly<Record<string, number>>} */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 };

/**
 * As {@link run}, but anything other than success is a {@link Failure}.
 *
 * @param {string} what  what failed, for the sentence
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ env?: Record<string, string> }} [options]
 * @returns {void}
 */
export function mustRun(what, program, args, options) {
  const status = run(program, args, options);
  if (status !== 0) throw new Failure(`${what} failed with status ${status}; what it said stands above`);
}

/**
 * Runs a tool that npm installed, without npx in between.
 *
 * @param {string} what
 * @param {string} tool  its name in node_modules/.bin
 * @param {readonly string[]} args
 * @returns {void}
 */
export function mustRunTool(what, tool, args) {
  mustRun(what, join(ROOT, "node_modules", ".bin", tool), args);
}

/**
 * All files under a folder of the clone, as paths relative to the root with `/`, sorted; a folder
 * that does not exist has none.
 *
 * @param {string} folder  relative to the root
 * @param {(path: string) => boolean} [wanted]
 * @returns {string[]}
 */
export function filesUnder(folder, wanted = () => true) {
  /** @type {string[]} */
  const found = [];
  /** @param {string} at */
  const visit = (at) => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const path = join(at, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== "node_modules") visit(path);
      } else {
        found.push(relative(ROOT, path).split(sep).join("/"));
      }
    }
  };
  try {
    visit(join(ROOT, folder));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return found.filter(wanted).sort();
}

/**
 * Text of a file of the clone; undefined where there is no such file.
 *
 * @param {string} path  relative to the root
 * @returns {string | undefined}
 */
export function textOf(path) {
  try {
    return readFileSync(join(ROOT, path), "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * A name for the contents of these files: changes when any of them is changed, added or removed.
 *
 * @param {readonly string[]} paths  relative to the root
 * @returns {string}
 */
export function fingerprint(paths) {
  const hash = createHash("sha256");
  for (const path of paths) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(ROOT, path)))
      .update("\0");
  }
  return hash.digest("hex");
}

/**
 * @param {unknown} error
 * @returns {boolean}
 */
function isMissing(error) {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
