// Counts the hits of f() in a TypeScript handler: typescript-handler.js PROGRAM ARGUMENT... The program
// prints what a call took; the count goes to standard error.
import { launch } from "../src/index.js";

const target = await launch({ command: process.argv.slice(2) });
try {
  let hits = 0;
  await target.registerKprobe({
    symbolName: "f",
    preHandler() {
      hits++;
    },
  });
  await target.run();
  process.stderr.write(`${String(hits)}\n`);
} finally {
  await target[Symbol.asyncDispose]();
}
