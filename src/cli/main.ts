#!/usr/bin/env node
import { readFileSync, writeSync } from "node:fs";
import { TraplineError } from "../base/errors.js";
import { parseArguments } from "./arguments.js";
import { listenForInterrupts } from "./interrupts.js";

/** Exit status: 0; 1 the script or its session failed; 2 usage or target errors. */
async function main(): Promise<number> {
  try {
    const request = parseArguments(process.argv.slice(2), version());
    switch (request.kind) {
      case "done":
        return 0;
      case "doctor": {
        const { doctor } = await import("./doctor.js");
        return doctor();
      }
      case "session": {
        if (process.platform !== "linux" || process.arch !== "x64") {
          writeSync(2, `trapline traces programs on Linux x86-64; this is ${process.platform} ${process.arch} (trapline doctor says more)\n`);
          return 2;
        }
        const { runSession } = await import("../session/session.js");
        return await runSession(request.options, listenForInterrupts());
      }
    }
  } catch (error) {
    if (!(error instanceof TraplineError)) throw error;
    writeSync(2, `trapline: ${error.message}${error.remedy === undefined ? "" : ` (${error.remedy})`}\n`);
    return 2;
  }
}

function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}

process.exitCode = await main();
