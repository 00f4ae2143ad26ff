import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { JsonEvent } from "../../../src/output/json-sink.js";
import type { LabMachine } from "../../../src/targets/lab/machine.js";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const LOOK_MS = 20;
const PATIENCE_MS = 120_000;

/** What a session on a guest came to. */
export interface Probed<T> {
  readonly result: T;
  readonly armed: number;
  readonly refused: number;
  readonly hits: number;
  /** Places that were disarmed when they had been hit so often. */
  readonly exhausted: number;
  /** From the start of the session until all was armed. */
  readonly armingSeconds: number;
}

/**
 * Counts the calls of kernel functions while something is done, with the command line as it is shipped.
 *
 * @param maxHits each function is let go after so many
 * @throws Error the session failed, or left the machine in another way than asked to
 */
export async function whileProbed<T>(
  machine: LabMachine,
  functions: readonly string[],
  maxHits: number,
  body: () => Promise<T>,
): Promise<Probed<T>> {
  const folder = mkdtempSync(join(tmpdir(), "trapline-kernel-transparency-"));
  try {
    const script = join(folder, "count.stp");
    const report = join(folder, "report.json");
    const points = functions.map((name) => `kernel.function("${name}")?`).join(",\n");
    writeFileSync(
      script,
      `global n, told\nprobe ${points} { n++ }\nprobe timer.ms(10) { if (!told++) println("armed") }\n`,
    );
    const began = performance.now();
    const session = spawn(
      process.execPath,
      [
        join(ROOT, "dist/cli/main.js"),
        ...["--json", "-w", "-o", report, "-D", `MAXHITS=${String(maxHits)}`],
        ...["--gdb", `unix:${machine.stub}`, "--kernel", machine.kernel, script],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    let errors = "";
    session.stderr.on("data", (bytes: Buffer) => (errors += bytes.toString("utf8")));
    const ended = once(session, "close");
    try {
      while (!eventsOf(report).some((event) => event.kind === "print")) {
        if (session.exitCode !== null) throw new Error(`the session ended: ${errors}`);
        if (performance.now() - began > PATIENCE_MS) throw new Error(`nothing was armed: ${errors}`);
        await setTimeout(LOOK_MS);
      }
      const armingSeconds = (performance.now() - began) / 1000;
      const result = await body();
      session.kill("SIGINT");
      await ended;
      const events = eventsOf(report);
      if (session.exitCode !== 0 || !events.some((event) => event.kind === "end"))
        throw new Error(`the session ended with status ${String(session.exitCode)}: ${errors}`);
      const probes = events.flatMap((event) =>
        event.kind === "probe" && event.places !== undefined ? [event] : [],
      );
      const sum = (of: (probe: (typeof probes)[number]) => number): number =>
        probes.reduce((total, probe) => total + of(probe), 0);
      return {
        result,
        armed: sum(({ places }) => places?.armed ?? 0),
        refused: sum(({ places }) => Object.values(places?.refused ?? {}).reduce((a, b) => a + b, 0)),
        hits: sum(({ hits }) => hits),
        exhausted: sum(({ places }) => places?.exhausted ?? 0),
        armingSeconds,
      };
    } finally {
      if (session.exitCode === null && session.signalCode === null) {
        session.kill("SIGKILL");
        await ended;
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function eventsOf(report: string): JsonEvent[] {
  if (!existsSync(report)) return [];
  return readFileSync(report, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as JsonEvent);
}
