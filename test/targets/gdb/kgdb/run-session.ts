import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Outcome } from "./recording.js";
import type { KgdbSession } from "./sessions.js";

/** Compiled, this file is in build/test/targets/gdb/kgdb. */
const CLI = fileURLToPath(new URL("../../../../../dist/cli/main.js", import.meta.url));
/** A session that takes longer hangs. */
const PATIENCE = 400_000;

export interface RunningSession {
  /** As Ctrl-C does. */
  interrupt(): void;
  readonly ended: Promise<Outcome>;
}

/**
 * Runs a session by the command line that is shipped.
 *
 * @param socket  where the stub, or who plays it, listens
 * @param printed is called with the number of lines that were printed so far
 */
export function startSession(
  session: KgdbSession,
  socket: string,
  kernel: string,
  printed: (lines: number) => void = () => undefined,
): RunningSession {
  const child = spawn(process.execPath, [CLI, ...wordsOf(session, socket, kernel)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (bytes: Buffer) => {
    stdout += bytes.toString("latin1");
    printed(stdout.split("\n").length - 1);
  });
  child.stderr.on("data", (bytes: Buffer) => {
    stderr += bytes.toString("latin1");
  });
  const ended = once(child, "close").then(() => {
    clearTimeout(timer);
    return { stdout, stderr: withoutPlaces(stderr, socket, kernel), status: child.exitCode };
  });
  return { interrupt: () => child.kill("SIGINT"), ended };
}

export function wordsOf({ script, options = [] }: KgdbSession, socket: string, kernel: string): string[] {
  return ["--gdb", `unix:${socket}`, "--kernel", kernel, ...options, "-e", script];
}

/** A sentence may name the socket and the image, which are elsewhere each time. */
function withoutPlaces(text: string, socket: string, kernel: string): string {
  return text.replaceAll(socket, "SOCKET").replaceAll(kernel, "KERNEL");
}
