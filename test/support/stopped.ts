import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

export interface StoppedProgram {
  readonly pid: number;
  /** Its shell's exit status, once it has ended. */
  readonly ended: Promise<number | null>;
}

/** Starts a program that stops itself (SIGSTOP), and waits until it has. */
export async function startStopping(command: readonly string[]): Promise<StoppedProgram> {
  // Through a shell: what Node itself started, Node itself waits for, and would take a tracer's stops.
  // The shell itself is mute then: of a death by signal that a test wants, the run's output need not tell.
  const shell = spawn("sh", ["-c", '"$0" "$@" & echo $!; exec 2>/dev/null; wait $!', ...command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(shell, "exit").then(([status]) => status as number | null);
  const pid = Number(await once(shell.stdout, "data"));
  while (!/^State:\tT/m.test(readFileSync(`/proc/${String(pid)}/status`, "latin1"))) await setTimeout(5);
  return { pid, ended };
}
