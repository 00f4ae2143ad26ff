// The record of a test run: written by the reporter, read by the matrix and by `npm test` itself.
import { isAbsolute, relative, sep } from "node:path";
import { Failure, ROOT, textOf } from "./project.mjs";

/**
 * @typedef {object} TestResult
 * @property {string} file        the source, relative to the root: `test/probes/fence.test.ts`
 * @property {string} name        names of the enclosing tests and suites first, joined by ` > `
 * @property {boolean} ok         ran and passed
 * @property {boolean} skipped    did not run
 * @property {string} [reason]    why it was skipped, or how it failed, in one line
 * @property {number} durationMs
 */

/** Where a run of all tests leaves its record; only that says anything about the matrix. */
export const ALL_RESULTS = "build/test-results.json";

/** Where a run of some tests leaves its record. */
export const SUBSET_RESULTS = "build/test-results-subset.json";

/**
 * @param {string} path  relative to the root
 * @returns {TestResult[]}
 */
export function readResults(path) {
  const text = textOf(path);
  if (text === undefined) throw new Failure(`${path} is not there: run npm test first`);
  /** @type {unknown} */
  const results = JSON.parse(text);
  return /** @type {TestResult[]} */ (results);
}

/**
 * The source of a compiled test.
 *
 * @param {string} path  as node:test reports it: the compiled file, or the source where it knows source maps
 * @returns {string} relative to the root
 */
export function sourceOf(path) {
  const inClone = (isAbsolute(path) ? relative(ROOT, path) : path).split(sep).join("/");
  return inClone.replace(/^build\//, "").replace(/\.js$/, ".ts");
}

/**
 * @param {string} source  a test, relative to the root
 * @returns {string} what the compiler makes of it
 */
export function compiledOf(source) {
  return `build/${source.replace(/\.ts$/, ".js")}`;
}
