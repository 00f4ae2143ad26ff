// `npm run matrix`: makes the table of requirement rows and phases in README.md from the names and results
// of the tests. A test that shows a row says so at the beginning of its name, or of its suite's:
//
//   test("[S3a post] the post-handler is not called for an instruction that faulted", …)
//   test("[S3 pre][S3 fault] …")                       one that shows two
//   test("[S3 fault kernel] …")                        on a kernel, not on a process
//
//   --check   changes nothing; fails where a cell has no passing test or README.md is not what it would be
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { format, resolveConfig } from "prettier";
import { PHASES, ROWS, TARGETS } from "./lib/matrix-rows.mjs";
import { Failure, ROOT, main, textOf } from "./lib/project.mjs";
import { ALL_RESULTS, readResults } from "./lib/test-results.mjs";

/** @typedef {import("./lib/matrix-rows.mjs").Phase} Phase */
/** @typedef {import("./lib/test-results.mjs").TestResult} TestResult */
/** @typedef {Map<string, TestResult[]>} Cells  the tests of a cell; keys are tags without brackets */

const README = "README.md";
const BEGIN = "<!-- matrix:begin (made by npm run matrix, do not edit) -->";
const END = "<!-- matrix:end -->";

const TAGS = /^(?:\[[^\]]*\]\s*)+/;
/** A tag that means the matrix, rightly spelt or not: other tags are nobody's business here. */
const ROW_LIKE = /^S\d/i;

await main(async () => {
  const { values: options } = parseArgs({ options: { check: { type: "boolean", default: false } } });
  const { cells, unknown } = sort(readResults(ALL_RESULTS));
  const readme = textOf(README) ?? "";
  const wanted = withTable(readme, await formatted(tableOf(cells)));

  const complaints = [
    ...unknown.map(({ tag, test }) => `[${tag}] is no cell of the matrix: ${test.file}: ${test.name}`),
    ...emptyCells(cells),
  ];
  if (options.check) {
    if (readme !== wanted) complaints.push(`${README} is not what the tests say: run npm run matrix`);
  } else if (readme !== wanted) {
    writeFileSync(join(ROOT, README), wanted);
    process.stdout.write(`${README}: the matrix is new\n`);
  }
  for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
  if (complaints.length === 0) process.stdout.write("matrix: every cell has a passing test\n");
  return complaints.length === 0 ? 0 : 1;
});

/**
 * Puts each test where its tags say.
 *
 * @param {readonly TestResult[]} results
 * @returns {{ cells: Cells, unknown: { tag: string, test: TestResult }[] }}
 */
function sort(results) {
  /** @type {Cells} */
  const cells = new Map();
  for (const { row, never } of ROWS) {
    for (const { tag } of TARGETS) {
      for (const phase of PHASES) {
        if (never?.[phase] === undefined) cells.set(`${row} ${phase}${tag}`, []);
      }
    }
  }
  const unknown = [];
  for (const test of results) {
    for (const tag of tagsOf(test.name)) {
      const cell = cells.get(tag);
      if (cell !== undefined) cell.push(test);
      else unknown.push({ tag, test });
    }
  }
  return { cells, unknown };
}

/**
 * @param {string} name
 * @returns {string[]} rows with phases, each once
 */
function tagsOf(name) {
  const tags = [];
  // A suite's tags hold for its tests, which may have their own.
  for (const part of name.split(" > ")) {
    for (const match of (TAGS.exec(part)?.[0] ?? "").matchAll(/\[([^\]]*)\]/g)) {
      const tag = match[1]?.trim() ?? "";
      if (ROW_LIKE.test(tag)) tags.push(tag);
    }
  }
  return [...new Set(tags)];
}

/**
 * @param {Cells} cells
 * @returns {string[]} a sentence for each cell of which nothing shows that it holds
 */
function emptyCells(cells) {
  return [...cells].flatMap(([tag, tests]) => {
    if (tests.length === 0) return [`[${tag}] has no test`];
    const bad = tests.filter((test) => !test.ok);
    return bad.map((test) => `[${tag}] did not pass: ${test.file}: ${test.name}: ${test.reason ?? ""}`);
  });
}

/**
 * @param {Cells} cells
 * @returns {string} Markdown
 */
function tableOf(cells) {
  /** @type {string[]} */
  const reasons = [];
  const rows = ROWS.map(({ row, says, never }) => {
    const marks = TARGETS.flatMap(({ tag }) =>
      PHASES.map((phase) => {
        const reason = never?.[phase];
        if (reason !== undefined) return `—${footnote(reasons, reason)}`;
        return markOf(cells.get(`${row} ${phase}${tag}`) ?? []);
      }),
    );
    return `| ${[row, says, ...marks].join(" | ")} |`;
  });
  const columns = TARGETS.flatMap(({ heading }) => PHASES.map((phase) => `${heading}${phase}`));
  return [
    `| row | what must hold | ${columns.join(" | ")} |`,
    `| --- | --- | ${columns.map(() => "---").join(" | ")} |`,
    ...rows,
    "",
    ...reasons.map((reason, index) => `${superscript(index)} ${reason}.\\`),
    "A number is that of the tests that show it.",
    "",
    "<details>",
    "<summary>The tests, by name</summary>",
    "",
    ...[...cells].flatMap(([tag, tests]) => listOf(tag, tests)),
    "</details>",
  ].join("\n");
}

/**
 * @param {readonly TestResult[]} tests
 * @returns {string}
 */
function markOf(tests) {
  if (tests.length === 0) return "";
  return tests.every((test) => test.ok) ? `✓ ${tests.length}` : "✗";
}

/**
 * @param {string} tag
 * @param {readonly TestResult[]} tests
 * @returns {string[]}
 */
function listOf(tag, tests) {
  if (tests.length === 0) return [];
  const lines = tests
    .map((test) => `- ${test.ok ? "" : "**not passed:** "}[${escaped(bareName(test.name))}](${test.file})`)
    .sort();
  return [`**${tag}**`, "", ...new Set(lines), ""];
}

/**
 * @param {string} name
 * @returns {string} without tags
 */
function bareName(name) {
  return name
    .split(" > ")
    .map((part) => part.replace(TAGS, ""))
    .filter((part) => part !== "")
    .join(" > ");
}

/**
 * @param {string} text
 * @returns {string} the same as Markdown shows it
 */
function escaped(text) {
  return text.replace(/[\\`*_[\]<>|]/g, "\\$&");
}

/**
 * The mark of a reason, which is entered where it is not yet.
 *
 * @param {string[]} reasons
 * @param {string} reason
 * @returns {string}
 */
function footnote(reasons, reason) {
  if (!reasons.includes(reason)) reasons.push(reason);
  return superscript(reasons.indexOf(reason));
}

/**
 * @param {number} index
 * @returns {string}
 */
function superscript(index) {
  return `<sup>${index + 1}</sup>`;
}

/**
 * @param {string} markdown
 * @returns {Promise<string>} as the linters want it
 */
async function formatted(markdown) {
  const config = await resolveConfig(join(ROOT, README));
  return (await format(markdown, { ...config, parser: "markdown" })).trimEnd();
}

/**
 * @param {string} readme
 * @param {string} table
 * @returns {string}
 */
function withTable(readme, table) {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Failure(`${README} has no place for the matrix: ${BEGIN} … ${END}`);
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${readme.slice(end)}`;
}
