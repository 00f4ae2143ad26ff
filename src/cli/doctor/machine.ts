import { accessSync, constants, readFileSync, readdirSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { join } from "node:path";
import { type TraceTrial, tryTrace } from "./try-trace.js";

/** What the doctor can ask of a machine. Nothing here loads native code but {@link load}. */
export interface Machine {
  /** `process.platform`, `process.arch`. */
  readonly platform: string;
  readonly architecture: string;
  /** `"20.11.1"`. */
  readonly nodeVersion: string;
  readonly kernelRelease: string;
  /** Processors that this process may use. */
  readonly processors: number;
  /** The text of a file; undefined where it is not there or cannot be read. */
  readText(path: string): string | undefined;
  /** Names in a folder; none where it is not there or cannot be read. */
  readFolder(path: string): readonly string[];
  /** Where `$PATH` has the program. */
  findProgram(name: string): string | undefined;
  /** Loads a package; rejects where that fails. */
  load(packageName: "koffi" | "iced-x86"): Promise<unknown>;
  /** SCHED_IDLE can be entered and left; undefined: what finds out does not load. */
  canRunBeside(): Promise<boolean | undefined>;
  /** Starts a child, traces it and lets it end. Loads native code: only where that loads. */
  tryTrace(): Promise<TraceTrial>;
}

export function thisMachine(): Machine {
  return {
    platform: process.platform,
    architecture: process.arch,
    nodeVersion: process.versions.node,
    kernelRelease: release(),
    processors: availableParallelism(),
    readText: (path) => orElse(undefined, () => readFileSync(path, "utf8")),
    readFolder: (path) => orElse([], () => readdirSync(path)),
    findProgram,
    load: async (packageName): Promise<unknown> => import(packageName),
    canRunBeside,
    tryTrace,
  };
}

async function canRunBeside(): Promise<boolean | undefined> {
  const loaded = await import("../../targets/linux/scheduling.js").catch((error: unknown) => {
    if (error instanceof Error) return undefined; // Its own line of the report says why.
    throw error;
  });
  return loaded?.canRunBeside();
}

function findProgram(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(":").filter((folder) => folder !== "");
  return folders
    .map((folder) => join(folder, name))
    .find((path) => orElse(false, () => (accessSync(path, constants.X_OK), true)));
}

/** What a file system call gives, or `otherwise` where the system refuses it. */
function orElse<T>(otherwise: T, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return otherwise;
  }
}
