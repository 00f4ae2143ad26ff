#!/usr/bin/env node
import { readFileSync, writeSync } from "node:fs";
import { TraplineError } from "../base/errors.js";
import type { PreparedSession } from "../session/session.js";
import { listenForInterrupts } from "./interrupts.js";

/** Words of command lines that run no session. */
const NO_SESSION: ReadonlySet<string> = new Set(["doctor", "--help", "--version"]);

/** Exit status: 0; 1 the script or its session failed; 2 usage or target errors. */
async function main(words: readonly string[]): Promise<number> {
  const supported = process.platform === "linux" && process.arch === "x64";
  const mayRun = supported && words.length > 0 && !words.some((word) => NO_SESSION.has(word));
  const prepared = mayRun ? (await import("../session/session.js")).prepareSession() : undefined;
  try {
    return await obey(words, prepared);
  } catch (error) {
    if (!(error instanceof TraplineError)) throw error;
    writeSync(2, `trapline: ${error.message}${error.remedy === undefined ? "" : ` (${error.remedy})`}\n`);
    return 2;
  } finally {
    await prepared?.cancel();
  }
}

async function obey(words: readonly string[], prepared: PreparedSession | undefined): Promise<number> {
  const { parseArguments } = await import("./arguments.js");
  const request = parseArguments(words, version());
  switch (request.kind) {
    case "done":
      return 0;
    case "doctor": {
      const { doctor } = await import("./doctor.js");
      return doctor();
    }
    case "session":
      if (prepared !== undefined) return prepared.run(request.options, listenForInterrupts());
      writeSync(
        2,
        `trapline traces programs on Linux x86-64; this is ${process.platform} ${process.arch} (trapline doctor says more)\n`,
      );
      return 2;
  }
}

function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}

process.exitCode = await main(process.argv.slice(2));
