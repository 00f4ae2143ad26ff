import { lab } from "./lab.js";
import { tracing } from "./tracing.js";
import type { Machine } from "./machine.js";
import { ProcessStatus } from "./process-status.js";
import type { Finding } from "./report.js";

/** Looks at all that Trapline needs or can use. The machine is Linux x86-64. */
export async function examine(machine: Machine): Promise<Finding[]> {
  const status = new ProcessStatus(machine.readText("/proc/self/status") ?? "");
  const koffi = await loadable(machine, "koffi", "system calls are made with it");
  return [
    { state: "ok", what: `system: Linux ${machine.kernelRelease}, x86-64` },
    node(machine),
    koffi,
    await loadable(machine, "iced-x86", "instructions are decoded with it"),
    ...(await tracing(machine, status, koffi.state === "ok")),
    processors(machine),
    await scheduling(machine),
    shadowStacks(machine, status),
    perfEvents(machine),
    debugSymbols(machine),
    lab(machine),
    ...PROGRAMS.map((program) => presence(machine, program)),
  ];
}

const OLDEST_NODE = 20;

function node({ nodeVersion }: Machine): Finding {
  if (Number.parseInt(nodeVersion, 10) >= OLDEST_NODE) return { state: "ok", what: `Node.js ${nodeVersion}` };
  return {
    state: "no",
    what: `Node.js ${nodeVersion} is too old`,
    remedy: `install Node.js ${OLDEST_NODE} or later`,
  };
}

async function loadable(machine: Machine, name: "koffi" | "iced-x86", use: string): Promise<Finding> {
  try {
    await machine.load(name);
    return { state: "ok", what: `package ${name} loads` };
  } catch (error) {
    const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    return {
      state: "no",
      what: `package ${name} does not load (${use}): ${reason}`,
      remedy: "reinstall trapline for this system and this Node.js: npm install trapline",
    };
  }
}

function processors({ processors }: Machine): Finding {
  if (processors > 1) return { state: "ok", what: `processors: ${processors} can be used` };
  return {
    state: "note",
    what: "processors: 1 can be used, so tracer and target take turns",
    remedy: "allow this process more processors, see taskset(1)",
  };
}

async function scheduling(machine: Machine): Promise<Finding> {
  const usable = await machine.canRunBeside();
  if (usable === undefined) return { state: "note", what: "scheduling: cannot be examined without koffi" };
  if (usable)
    return { state: "ok", what: "scheduling: SCHED_IDLE can be used; the tracer runs beside its target" };
  return {
    state: "note",
    what: "scheduling: SCHED_IDLE could not be left again; from another processor a hit costs ten times as much",
    remedy: "run as root, give CAP_SYS_NICE, or raise RLIMIT_NICE: ulimit -e 20",
  };
}

function shadowStacks(machine: Machine, status: ProcessStatus): Finding {
  const flags = /^flags\s*:(.*)$/m.exec(machine.readText("/proc/cpuinfo") ?? "")?.[1]?.split(" ") ?? [];
  if (!flags.includes("user_shstk")) return { state: "ok", what: "shadow stacks: no program has one here" };
  const own = (status.get("x86_Thread_features") ?? "").includes("shstk");
  return {
    state: "note",
    what: `shadow stacks: programs can have them${own ? ", and this one has" : ""}`,
  };
}

function perfEvents(machine: Machine): Finding {
  const level = machine.readText("/proc/sys/kernel/perf_event_paranoid")?.trim();
  const setting = level === undefined ? "there are none here" : `perf_event_paranoid is ${level}`;
  return { state: "ok", what: `perf events: ${setting}, and none are needed` };
}

function debugSymbols(machine: Machine): Finding {
  const found = machine.readFolder("/usr/lib/debug/.build-id").length;
  if (found > 0)
    return { state: "ok", what: "debug symbols: some are installed in /usr/lib/debug/.build-id" };
  return {
    state: "note",
    what: "debug symbols: none in /usr/lib/debug/.build-id; functions are found by symbol tables alone",
    remedy: "apt-get install libc6-dbg, and the -dbgsym packages of the programs to probe",
  };
}

interface Program {
  readonly name: string;
  readonly use: string;
}

/** Programs that the tests and the demo use; probing needs none of them. */
const PROGRAMS: readonly Program[] = [
  { name: "perl", use: "the demo's program" },
  { name: "gcc", use: "builds the tests' programs" },
  { name: "gdb", use: "the tests and the demo compare with it" },
];

function presence(machine: Machine, { name, use }: Program): Finding {
  const path = machine.findProgram(name);
  if (path !== undefined) return { state: "ok", what: `${name}: ${path}` };
  return { state: "note", what: `${name} is not installed (${use})`, remedy: `apt-get install ${name}` };
}
