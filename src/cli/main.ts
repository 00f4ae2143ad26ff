#!/usr/bin/env node
// Nothing is imported up here: the session's thread begins to load before this one loads the rest.
import type { PreparedSession } from "../session/session.js";

/** Words of command lines that run no session. */
const NO_SESSION: ReadonlySet<string> = new Set(["doctor", "-h", "--help", "-V", "--version", "--clean"]);

const words = process.argv.slice(2);
const prepared = await prepare();
try {
  const { command } = await import("./command.js");
  process.exitCode = await command(words, prepared);
} finally {
  await prepared?.cancel();
}

async function prepare(): Promise<PreparedSession | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  if (words.length === 0 || words.some((word) => NO_SESSION.has(word))) return undefined;
  return (await import("../session/session.js")).prepareSession();
}
