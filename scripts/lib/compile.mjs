// The two builds: dist/ is what is shipped, build/ is everything (sources, tests, examples, bench).
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildSync } from "esbuild";
import { ROOT, filesUnder, fingerprint, mustRunTool, textOf } from "./project.mjs";

/** @param {string} path */
const isSource = (path) => path.endsWith(".ts");

/** Where threads begin. */
const THREADS = ["session/script/script-thread.js", "session/api/engine-thread.js"];

/** What both builds depend on besides the sources. */
const SETTINGS = ["package.json", "package-lock.json", "tsconfig.json"];

/**
 * Compiles src/ to dist/, from nothing, so that no file of a former source is shipped; does nothing
 * where dist/ is of these very sources.
 *
 * @returns {void}
 */
export function compileDist() {
  const stamp = fingerprint([...SETTINGS, "scripts/lib/compile.mjs", ...filesUnder("src")]);
  // Beside dist/, not in it: what is in it is shipped.
  const stampFile = "build/dist-stamp";
  const main = "dist/cli/main.js";
  if (textOf(stampFile) === stamp && textOf(main) !== undefined) return;

  rmSync(join(ROOT, "dist"), { recursive: true, force: true });
  mustRunTool("compiling src/", "tsc", ["-p", "."]);
  copyAssets("src", "dist");
  for (const thread of THREADS) bundle(join(ROOT, "dist", thread));
  if (textOf(main) !== undefined) chmodSync(join(ROOT, main), 0o755);
  mkdirSync(join(ROOT, "build"), { recursive: true });
  writeFileSync(join(ROOT, stampFile), stamp);
}

/**
 * Makes one file of a module and all that it imports, packages excepted: to find and open a hundred
 * files takes a fifth of the time until the first probe is armed.
 *
 * @param {string} path
 * @returns {void}
 */
function bundle(path) {
  buildSync({
    entryPoints: [path],
    outfile: path,
    allowOverwrite: true,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "warning",
  });
}

/**
 * Compiles everything to build/. Incremental: a second run compiles what was changed. Files of former
 * sources may stay there; who runs the tests goes by the sources.
 *
 * @returns {void}
 */
export function compileBuild() {
  mustRunTool("compiling the tests", "tsc", ["-p", "test"]);
  copyAssets("src", "build/src");
}

/**
 * Copies what the compiler does not: the tapset and other data that sources read at run time, to the
 * same place beside them.
 *
 * @param {string} from
 * @param {string} to
 * @returns {void}
 */
function copyAssets(from, to) {
  for (const path of filesUnder(from, (file) => !isSource(file))) {
    const target = join(ROOT, to, path.slice(from.length + 1));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join(ROOT, path), target);
  }
}
