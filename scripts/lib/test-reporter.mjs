// The reporter of `npm test`: a line a test, grouped by file; what failed once more at the end; and a
// record of all of it in the file that TRAPLINE_TEST_RESULTS names, for the matrix.
import { writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { sourceOf } from "./test-results.mjs";

/** @typedef {import("node:test/reporters").TestEvent} TestEvent */
/** @typedef {import("./test-results.mjs").TestResult} TestResult */
/**
 * What this file reads of a pass or fail event; Node's own types say less.
 *
 * @typedef {object} Done
 * @property {string} name
 * @property {number} nesting
 * @property {string} [file]
 * @property {string | boolean} [skip]
 * @property {string | boolean} [todo]
 * @property {{ duration_ms: number, type?: string, error?: Error & { failureType?: string } }} details
 */

/** Node before 22 reports tests that --test-name-pattern leaves out, as skipped for this reason. */
const LEFT_OUT = "test name does not match pattern";

/** From here on a test's time is worth a mention. */
const SLOW_MS = 1000;

/**
 * @param {AsyncIterable<TestEvent>} source
 * @returns {AsyncGenerator<string, void>}
 */
export default async function* report(source) {
  /** @type {TestResult[]} */
  const results = [];
  /** @type {string[]} */
  const failures = [];
  /** Names of the tests that are open, outermost first. @type {string[]} */
  const open = [];
  /** Nesting of the last test that was done: one deeper than ours means that we have subtests. */
  let lastNesting = 0;
  let lastFile = "";
  const byName = process.env["TRAPLINE_TEST_BY_NAME"] === "true";

  for await (const event of source) {
    if (event.type === "test:start") {
      open.length = event.data.nesting;
      open.push(event.data.name);
    } else if (event.type === "test:stdout" || event.type === "test:stderr") {
      yield event.data.message;
    } else if (event.type === "test:diagnostic") {
      // Without a file it is of the whole run: sums that we make ourselves, in other words.
      if (event.data.file !== undefined) yield `      # ${event.data.message}\n`;
    } else if (event.type === "test:pass" || event.type === "test:fail") {
      const done = /** @type {Done} */ (event.data);
      const failed = event.type === "test:fail";
      const file = sourceOf(done.file ?? "");
      const isFile = done.nesting === 0 && sourceOf(done.name) === file;
      const hasSubtests = lastNesting > done.nesting || done.details.type === "suite";
      lastNesting = done.nesting;
      // Its subtests tell; of a parent only what went wrong in itself is of interest.
      if (hasSubtests && !(failed && done.details.error?.failureType !== "subtestsFailed")) continue;
      // What was left out on purpose is neither here nor there; a file may then be without tests.
      if (done.skip === LEFT_OUT || (byName && isFile && !failed)) continue;

      const result = isFile ? resultOfFile(file, done, failed) : resultOf(file, open, done, failed);
      results.push(result);
      if (file !== lastFile) yield `\n${file}\n`;
      lastFile = file;
      yield lineOf(result);
      if (!result.ok && !result.skipped) failures.push(`${file}\n${lineOf(result)}${whyOf(done)}`);
    }
  }

  const file = process.env["TRAPLINE_TEST_RESULTS"];
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
  if (failures.length > 0) yield `\nFailed:\n\n${failures.join("\n")}\n`;
}

/**
 * @param {string} file
 * @param {readonly string[]} open
 * @param {Done} done
 * @param {boolean} failed
 * @returns {TestResult}
 */
function resultOf(file, open, done, failed) {
  const name = [...open.slice(0, done.nesting), done.name].join(" > ");
  const skip = done.skip ?? (done.todo === undefined ? undefined : `to do: ${String(done.todo)}`);
  const skipped = !failed && skip !== undefined && skip !== false;
  return {
    file,
    name,
    ok: !failed && !skipped,
    skipped,
    ...(skipped ? { reason: typeof skip === "string" ? skip : "without a reason" } : {}),
    ...(failed ? { reason: firstLine(done.details.error?.message) } : {}),
    durationMs: Math.round(done.details.duration_ms),
  };
}

/**
 * A file is reported itself where it holds no test, or where its process died.
 *
 * @param {string} file
 * @param {Done} done
 * @param {boolean} failed
 * @returns {TestResult}
 */
function resultOfFile(file, done, failed) {
  return {
    file,
    name: failed ? "the file runs to its end" : "the file holds a test",
    ok: false,
    skipped: false,
    reason: failed ? firstLine(done.details.error?.message) : "no test in it",
    durationMs: Math.round(done.details.duration_ms),
  };
}

/**
 * @param {TestResult} result
 * @returns {string}
 */
function lineOf({ ok, skipped, name, reason, durationMs }) {
  const word = ok ? "ok    " : skipped ? "skip  " : "FAILED";
  const time = durationMs >= SLOW_MS ? ` (${(durationMs / 1000).toFixed(1)} s)` : "";
  return `  ${word}  ${name}${time}${ok || reason === undefined ? "" : `: ${reason}`}\n`;
}

/**
 * @param {Done} done
 * @returns {string}
 */
function whyOf(done) {
  const error = done.details.error;
  if (error === undefined) return "";
  // Node wraps what the test threw; the stack of the wrapper says nothing.
  const cause = error.cause ?? error;
  const text = typeof cause === "string" ? cause : inspect(cause);
  const ours = text.split("\n").filter((line) => !/^\s+at .*\(?node:internal\//.test(line));
  return `${ours.map((line) => `      ${line}`).join("\n")}\n`;
}

/**
 * @param {string | undefined} text
 * @returns {string}
 */
function firstLine(text) {
  return (text ?? "").split("\n", 1)[0] ?? "";
}
