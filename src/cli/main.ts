#!/usr/bin/env node
import { DescriptorWriter } from "../output/descriptor-writer.js";
import { OutputError } from "../output/output-error.js";
import type { PreparedSession } from "../session/session.js";
import { thisMachine } from "./doctor/machine.js";
import { SignalInterrupts } from "./interrupts.js";
import { packageVersion } from "./package-version.js";

/** 128 + SIGINT, as a shell says it. */
const INTERRUPTED = 130;

/** Words of command lines that run no session. */
const NO_SESSION: ReadonlySet<string> = new Set(["doctor", "-h", "--help", "-V", "--version"]);

const words = process.argv.slice(2);
const machine = thisMachine();
// First of all: the session's thread loads while the command line is read.
const prepared = await prepare();
const interrupts = new SignalInterrupts(process, () => process.exit(INTERRUPTED));
try {
  const { run } = await import("./run.js");
  process.exitCode = await run(words, {
    version: packageVersion(),
    machine,
    interrupts,
    out: (text) => {
      say(1, "standard output", text);
    },
    error: (text) => {
      say(2, "standard error", text);
    },
    loadSession: async () => {
      // Not prepared only where a word that belongs to the script looks like one of NO_SESSION.
      const session = prepared ?? (await import("../session/session.js")).prepareSession();
      return async (options, by) => session.run(options, by);
    },
  });
} finally {
  interrupts[Symbol.dispose]();
  await prepared?.cancel();
}

async function prepare(): Promise<PreparedSession | undefined> {
  if (machine.platform !== "linux" || machine.architecture !== "x64") return undefined;
  if (words.length === 0 || words.some((word) => NO_SESSION.has(word))) return undefined;
  return (await import("../session/session.js")).prepareSession();
}

/** Nobody reading what we say is no reason to end a session, or to fail. */
function say(descriptor: number, name: string, text: string): void {
  const writer = new DescriptorWriter(descriptor, { name });
  try {
    writer.writeText(text);
    writer.close();
  } catch (error) {
    if (!(error instanceof OutputError && (descriptor === 2 || error.code === "EPIPE"))) throw error;
  }
}
