// What `npm run demo`, `npm test` and their like start. It needs Node and npm only: it installs what is
// not installed, compiles what is not compiled, then hands over.
import { join } from "node:path";
import { SUPPORTED, install } from "./lib/install.mjs";
import { ROOT, Failure, main, run } from "./lib/project.mjs";

/**
 * @typedef {object} Command
 * @property {"dist" | "build"} [needs]  compiled first: what is shipped, or everything
 * @property {string} [script]           run then, with the arguments that are left over
 * @property {boolean} [traces]          of no use where nothing can be traced
 */

/** @type {Readonly<Record<string, Command>>} */
const COMMANDS = {
  build: { needs: "dist" },
  demo: { needs: "dist", script: "scripts/demo/main.mjs", traces: true },
  // Compiles by itself, after it has seen to what the tests need.
  test: { script: "scripts/test.mjs" },
  bench: { needs: "build", script: "build/bench/main.js", traces: true },
  coverage: { needs: "build", script: "build/bench/coverage.js" },
  transparency: { needs: "build", script: "build/test/transparency/main.js", traces: true },
  "transparency:full": { needs: "build", script: "build/test/transparency/full.js", traces: true },
  "transparency:kernel": { needs: "build", script: "build/test/transparency/kernel/main.js" },
  kgdb: { needs: "build", script: "build/test/targets/gdb/kgdb/main.js" },
  attachments: { needs: "build", script: "build/test/attachments/main.js", traces: true },
  soak: { needs: "build", script: "build/test/soak/main.js", traces: true },
  fuzz: { needs: "build", script: "build/test/fuzz/main.js" },
  lint: { script: "scripts/lint.mjs" },
  matrix: { script: "scripts/matrix.mjs" },
};

const OLDEST_NODE = 20;

await main(async () => {
  const [name = "", ...args] = process.argv.slice(2);
  const command = COMMANDS[name];
  if (command === undefined) {
    throw new Failure(`usage: node scripts/run.mjs ${Object.keys(COMMANDS).join("|")} [ARGUMENT]...`);
  }
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    throw new Failure(`Trapline needs Node ${OLDEST_NODE} or later; this is ${process.versions.node}`);
  }
  install();
  // Only now: it looks for the compiler where npm has just put it.
  const { compileBuild, compileDist } = await import("./lib/compile.mjs");
  if (command.traces && !SUPPORTED) {
    process.stderr.write(
      `Trapline traces Linux on x86-64 and this is ${process.platform} on ${process.arch}; ` +
        "`trapline doctor` says what can be done here:\n",
    );
    compileDist();
    return run(process.execPath, [join(ROOT, "dist/cli/main.js"), "doctor"]);
  }
  if (command.needs === "dist") compileDist();
  if (command.needs === "build") {
    // What is run there may call the command line as it is shipped.
    compileDist();
    compileBuild();
  }
  if (command.script === undefined) return 0;
  return run(process.execPath, ["--enable-source-maps", join(ROOT, command.script), ...args]);
});
