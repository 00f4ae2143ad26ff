import type { Machine } from "../../src/cli/doctor/machine.js";

export interface Described extends Partial<Machine> {
  /** Contents by path. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A machine on which all is well, but for what is described. */
export function machine({ files = {}, ...others }: Described = {}): Machine {
  const all: Readonly<Record<string, string>> = {
    "/proc/self/status": status({}),
    "/proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu vme\n",
    "/proc/sys/kernel/perf_event_paranoid": "2\n",
    ...files,
  };
  return {
    platform: "linux",
    architecture: "x64",
    nodeVersion: "20.11.1",
    kernelRelease: "6.1.0",
    processors: 2,
    readText: (path) => all[path],
    readFolder: (path) => (path === "/usr/lib/debug/.build-id" ? ["00"] : []),
    findProgram: (name) => `/usr/bin/${name}`,
    load: async () => Promise.resolve({}),
    canRunBeside: async () => Promise.resolve(true),
    tryTrace: async () => Promise.resolve({ kind: "traced" }),
    ...others,
  };
}

/** Bit 19 set. */
export const CAP_SYS_PTRACE = "0000000000080000";

/** A /proc/self/status of an ordinary user. */
export function status(fields: Readonly<Record<string, string>>): string {
  const all = {
    Name: "node",
    TracerPid: "0",
    Uid: "1000\t1000\t1000\t1000",
    CapEff: "0000000000000000",
    Seccomp: "0",
  };
  return Object.entries({ ...all, ...fields })
    .map(([name, value]) => `${name}:\t${value}\n`)
    .join("");
}
