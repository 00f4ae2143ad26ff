import { readdirSync, readFileSync } from "node:fs";

/** What a process has that must not grow with what is done to it. */
export interface Holdings {
  readonly maps: number;
  readonly descriptors: number;
  readonly threads: number;
  /** Resident, KiB. */
  readonly memory: number;
}

/** @throws Error the process is gone */
export function holdingsOf(pid: number): Holdings {
  const folder = `/proc/${String(pid)}`;
  return {
    maps: readFileSync(`${folder}/maps`, "latin1").split("\n").length - 1,
    descriptors: readdirSync(`${folder}/fd`).length,
    threads: readdirSync(`${folder}/task`).length,
    memory: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`${folder}/status`, "latin1"))?.[1]),
  };
}

/** `60 → 62 → 60 maps, 3 → 3 → 3 descriptors, …`: what a process had, one time after the other. */
export function describeHoldings(...times: readonly Holdings[]): string {
  return (["maps", "descriptors", "threads", "memory"] as const)
    .map((what) => {
      const figures = times.map((each) => each[what].toLocaleString("en"));
      return `${figures.join(" → ")} ${what === "memory" ? "KiB" : what}`;
    })
    .join(", ");
}
