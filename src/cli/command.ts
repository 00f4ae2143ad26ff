import type { DescriptorWriter } from "../output/descriptor-writer.js";
import { standardError, standardOutput } from "../output/standard-streams.js";
import { OutputError } from "../output/output-error.js";
import type { PreparedSession } from "../session/session.js";
import { thisMachine } from "./doctor/machine.js";
import { SignalInterrupts } from "./interrupts.js";
import { packageVersion } from "./package-version.js";
import { run } from "./run.js";

/** 128 + SIGINT, as a shell says it. */
const INTERRUPTED = 130;

/** Runs a command line in this very process. @returns the exit status */
export async function command(
  words: readonly string[],
  prepared: PreparedSession | undefined,
): Promise<number> {
  using interrupts = new SignalInterrupts(process, () => process.exit(INTERRUPTED));
  return await run(words, {
    version: packageVersion(),
    machine: thisMachine(),
    interrupts,
    out: (text) => {
      say(standardOutput(), text);
    },
    error: (text) => {
      say(standardError(), text);
    },
    loadSession: async () => {
      // Not prepared only where a word that belongs to the script looks like one that runs no session.
      const session = prepared ?? (await import("../session/session.js")).prepareSession();
      return async (options, by) => session.run(options, by);
    },
    loadClean: async () => (await import("../session/kernel/clean.js")).cleanKernelAt,
  });
}

/** Nobody reading what we say is no reason to end a session, or to fail. */
function say(writer: DescriptorWriter, text: string): void {
  try {
    writer.writeText(text);
    writer.close();
  } catch (error) {
    if (!(error instanceof OutputError && error.code === "EPIPE")) throw error;
  }
}
