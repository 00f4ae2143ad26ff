// `npm run lint`: everything that is checked without running anything. All checks run, also behind one
// that fails, so that one run shows all there is to do.
import { join } from "node:path";
import { compileDist } from "./lib/compile.mjs";
import { ROOT, main, run } from "./lib/project.mjs";

/** @type {readonly (readonly [what: string, tool: string, ...args: string[]])[]} */
const CHECKS = [
  ["types of sources and tests", "tsc", "-p", "test", "--noEmit", "--incremental", "false"],
  ["types of the scripts", "tsc", "-p", "scripts"],
  ["rules of the language", "eslint", "--max-warnings=0", "."],
  ["format (npm run format puts it right)", "prettier", "--check", "--log-level=warn", "."],
  ["floors and cycles", "depcruise", "--config", ".dependency-cruiser.mjs", "src", "test"],
  ["dead code", "knip"],
  // Without the exports: what a unit test imports is no dead code.
  ["dead files in what is shipped", "knip", "--production", "--include", "files,dependencies"],
];

await main(() => {
  // The scripts import the package by its name, and its types are in dist/.
  compileDist();
  const failed = [];
  for (const [what, tool, ...args] of CHECKS) {
    process.stdout.write(`\n== ${what}: ${tool} ${args.join(" ")}\n`);
    if (run(join(ROOT, "node_modules", ".bin", tool), args) !== 0) failed.push(what);
  }
  process.stdout.write("\n== licences: scripts/licences.mjs\n");
  if (run(process.execPath, [join(ROOT, "scripts/licences.mjs")]) !== 0) failed.push("licences");

  process.stdout.write(failed.length === 0 ? "\nAll clean.\n" : `\nNot clean: ${failed.join("; ")}\n`);
  return failed.length === 0 ? 0 : 1;
});
