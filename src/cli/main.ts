#!/usr/bin/env node
import { writeFully } from "../base/write-fully.js";
import { thisMachine } from "./doctor/machine.js";
import { SignalInterrupts } from "./interrupts.js";
import { packageVersion } from "./package-version.js";
import { run } from "./run.js";

const STDOUT = 1;
const STDERR = 2;
/** 128 + SIGINT, as a shell says it. */
const INTERRUPTED = 130;

const interrupts = new SignalInterrupts(process, () => process.exit(INTERRUPTED));
try {
  process.exitCode = await run(process.argv.slice(2), {
    version: packageVersion(),
    machine: thisMachine(),
    interrupts,
    // Nobody reading what we say is no reason to end a session, or to fail.
    out: (text) => void writeFully(STDOUT, text),
    error: (text) => void writeFully(STDERR, text),
    loadSession: async () => (await import("../session/session.js")).runSession,
  });
} finally {
  interrupts[Symbol.dispose]();
}
