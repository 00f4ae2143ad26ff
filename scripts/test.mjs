// `npm test`: sees to what the tests need, compiles, runs them, and says in its last line what came of it.
//
//   npm test                        everything
//   npm test -- test/probes         the tests in that folder, or in that file
//   npm test -- "[S3a post]"        the tests with that in their names; /…/ is a regular expression
//   --yes                           install missing Debian packages (CI=true does, too)
//   --no-skips                      a skipped test is a failure
//   --concurrency=N                 files at a time; 2 is what the timing of ptrace tests bears
//   --timeout=SECONDS               for one file, 600 unless told
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compileBuild, compileDist } from "./lib/compile.mjs";
import { hasAptGet, installCommand, installNeeds, missingNeeds } from "./lib/debian.mjs";
import { Failure, ROOT, filesUnder, main, run } from "./lib/project.mjs";
import { ALL_RESULTS, SUBSET_RESULTS, compiledOf, readResults } from "./lib/test-results.mjs";

/** @typedef {import("./lib/debian.mjs").Need} Need */
/** @typedef {import("./lib/test-results.mjs").TestResult} TestResult */

await main(async () => {
  const { values: options, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      yes: { type: "boolean", default: process.env["CI"] === "true" },
      "no-skips": { type: "boolean", default: false },
      concurrency: { type: "string", default: "2" },
      timeout: { type: "string", default: "600" },
    },
  });
  const { files, pattern } = select(positionals);
  // First, so that no test meets another that is just building what is shipped.
  compileDist();
  compileBuild();
  const missing = await seeToNeeds(options.yes);

  const results = positionals.length === 0 ? ALL_RESULTS : SUBSET_RESULTS;
  mkdirSync(join(ROOT, "build"), { recursive: true });
  // A run that dies must not leave the record of a former one.
  rmSync(join(ROOT, results), { force: true });
  const status = run(
    process.execPath,
    [
      "--enable-source-maps",
      "--test",
      `--test-concurrency=${options.concurrency}`,
      `--test-timeout=${1000 * Number(options.timeout)}`,
      `--test-reporter=${join(ROOT, "scripts/lib/test-reporter.mjs")}`,
      "--test-reporter-destination=stdout",
      ...(pattern === undefined ? [] : [`--test-name-pattern=${pattern}`]),
      ...files.map(compiledOf),
    ],
    {
      env: {
        TRAPLINE_TEST_RESULTS: join(ROOT, results),
        TRAPLINE_TEST_BY_NAME: String(pattern !== undefined),
      },
    },
  );
  const record = existsSync(join(ROOT, results)) ? readResults(results) : [];
  return conclude(status, record, missing, options["no-skips"]);
});

/**
 * Says what the tests need and this machine lacks, and installs it where that is wanted.
 *
 * @param {boolean} install
 * @returns {Promise<Need[]>} what is still missing
 */
async function seeToNeeds(install) {
  const missing = await missingNeeds();
  if (missing.length === 0) return [];
  process.stdout.write("The tests need from Debian, and this machine does not have:\n");
  for (const need of missing) process.stdout.write(`  ${need.package.padEnd(12)} ${need.why}\n`);
  if (install && hasAptGet()) {
    await installNeeds(missing);
    return [];
  }
  process.stdout.write(
    `Tests that need them are skipped. This installs them, and so does npm test -- --yes:\n` +
      `  ${installCommand(missing)}\n`,
  );
  return missing;
}

/**
 * What the arguments choose: files by their path, else tests by their name.
 *
 * @param {readonly string[]} wanted
 * @returns {{ files: string[], pattern: string | undefined }}
 */
function select(wanted) {
  const all = filesUnder("test", (path) => path.endsWith(".test.ts"));
  const paths = wanted.filter((word) => existsSync(join(ROOT, word)));
  const names = wanted.filter((word) => !paths.includes(word));
  const files =
    paths.length === 0
      ? all
      : all.filter((file) =>
          paths.some((path) => file === path || file.startsWith(`${path.replace(/\/+$/, "")}/`)),
        );
  if (files.length === 0) {
    throw new Failure(`no tests in ${paths.length === 0 ? "test/" : paths.join(", ")}`);
  }
  return { files, pattern: names.length === 0 ? undefined : names.map(patternOf).join("|") };
}

/**
 * @param {string} name
 * @returns {string} a regular expression: `/…/` is one, anything else is meant literally
 */
function patternOf(name) {
  const expression = /^\/(?<body>.+)\/$/.exec(name)?.groups?.["body"];
  return expression ?? name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/**
 * Prints the last line and decides.
 *
 * @param {number} status  what node:test made of it
 * @param {readonly TestResult[]} results
 * @param {readonly Need[]} missing
 * @param {boolean} noSkips
 * @returns {number} exit status
 */
function conclude(status, results, missing, noSkips) {
  const passed = results.filter((result) => result.ok).length;
  const skipped = results.filter((result) => result.skipped).length;
  const failed = results.length - passed - skipped;
  if (skipped > 0 && missing.length > 0) {
    process.stdout.write(`\nSome tests were skipped for want of packages: ${installCommand(missing)}\n`);
  }
  if (noSkips && skipped > 0) process.stdout.write("\nSkipped tests are failures here (--no-skips).\n");
  // A run whose process ended badly is no success, whatever it reported before.
  const silent = status !== 0 && failed === 0;
  if (silent) process.stdout.write(`\nThe test run itself ended with status ${status}.\n`);
  if (results.length === 0 && !silent) process.stdout.write("\nNo test has that in its name.\n");
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  const good = status === 0 && failed === 0 && passed > 0 && !(noSkips && skipped > 0);
  return good ? 0 : 1;
}
