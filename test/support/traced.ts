import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ExitStatus,
  type Kprobe,
  launch,
  type RegisteredProbe,
  type TargetOptions,
  type TracedTarget,
} from "../../src/index.js";

export interface Traced {
  /** What the target printed. */
  readonly output: string;
  readonly status: ExitStatus | undefined;
  /** In the order in which they were registered; their books are final. */
  readonly probes: readonly RegisteredProbe[];
  /** What the handlers printed. */
  readonly trace: string;
}

export const SUCCESS = { kind: "exited", status: 0 } as const;

/**
 * Runs a program that includes test/targets/output.h, with kprobes, to its end.
 *
 * @param meanwhile called once the program goes
 */
export async function traced(
  command: readonly string[],
  kprobes: readonly Kprobe[],
  options: TargetOptions & { readonly meanwhile?: (target: TracedTarget) => Promise<void> } = {},
): Promise<Traced> {
  const folder = mkdtempSync(join(tmpdir(), "trapline-cases-"));
  try {
    const file = join(folder, "output");
    let trace = "";
    const write = (text: string): void => {
      trace += text;
    };
    await using target = await launch({ write, ...options, command: [...command, `>${file}`] });
    const probes: RegisteredProbe[] = [];
    for (const kprobe of kprobes) probes.push(await target.registerKprobe(kprobe));
    const ended = target.run();
    await options.meanwhile?.(target);
    const status = await ended;
    return { output: readFileSync(file, "latin1"), status, probes, trace };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
