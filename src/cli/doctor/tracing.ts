import type { Machine } from "./machine.js";
import type { ProcessStatus } from "./process-status.js";
import type { Finding } from "./report.js";

/** May this process trace others? First what the settings say, then what a try says. */
export async function tracing(
  machine: Machine,
  status: ProcessStatus,
  koffiLoads: boolean,
): Promise<Finding[]> {
  return [
    traced(status),
    permission(machine, status),
    ...filter(status),
    await trial(machine, status, koffiLoads),
  ].flat();
}

/** Only a launched command is a child, and a thread has one tracer: under strace all is taken. */
function traced(status: ProcessStatus): Finding[] {
  const tracer = status.get("TracerPid");
  if (tracer === undefined || tracer === "0") return [];
  return [
    {
      state: "note",
      what: `tracing: process ${tracer} traces this one, and may take its children too`,
      remedy: "run trapline outside of a debugger or strace",
    },
  ];
}

const YAMA = "/proc/sys/kernel/yama/ptrace_scope";

/** Documentation/admin-guide/LSM/Yama.rst: 0 classic, 1 descendants, 2 CAP_SYS_PTRACE, 3 nobody. */
function permission(machine: Machine, status: ProcessStatus): Finding[] {
  const capable = status.has("CAP_SYS_PTRACE");
  const scope = machine.readText(YAMA)?.trim() ?? "0";
  const who = capable
    ? "every process"
    : `processes of the same user${status.isRoot ? " (root here, but without CAP_SYS_PTRACE)" : ""}`;
  if (scope === "3") {
    return [
      {
        state: "no",
        what: `tracing: ${YAMA} is 3, nobody may trace anything`,
        remedy:
          "set kernel.yama.ptrace_scope to 1 in sysctl.conf(5) and restart the machine: 3 cannot be lowered",
      },
    ];
  }
  if (capable || scope === "0") return [{ state: "ok", what: `tracing: -c and -x may trace ${who}` }];
  if (scope === "1") {
    return [
      {
        state: "note",
        what: `tracing: ${YAMA} is 1, so -c may trace what it launches, and -x no other process`,
        remedy: "for -x run as root, or: sysctl kernel.yama.ptrace_scope=0",
      },
    ];
  }
  return [
    {
      state: "no",
      what: `tracing: ${YAMA} is ${scope}, and this process has no CAP_SYS_PTRACE`,
      remedy: "run as root, or: sysctl kernel.yama.ptrace_scope=1",
    },
  ];
}

const SECCOMP_FILTERED = "2";

function filter(status: ProcessStatus): Finding[] {
  if (status.get("Seccomp") !== SECCOMP_FILTERED) return [];
  return [
    {
      state: "note",
      what: "tracing: a seccomp filter is on this process, as in a container, and may forbid ptrace",
      remedy: CONTAINER_REMEDY,
    },
  ];
}

const CONTAINER_REMEDY = "start the container with --cap-add=SYS_PTRACE";

async function trial(machine: Machine, status: ProcessStatus, koffiLoads: boolean): Promise<Finding> {
  if (!koffiLoads) {
    return {
      state: "note",
      what: "tracing: not tried, since koffi does not load; judged from settings alone",
    };
  }
  const outcome = await machine.tryTrace();
  if (outcome.kind === "traced") return { state: "ok", what: "tracing: tried on a child, it works" };
  return {
    state: "no",
    what: `tracing: tried on a child, refused: ${outcome.reason}`,
    remedy:
      status.get("Seccomp") === SECCOMP_FILTERED
        ? `${CONTAINER_REMEDY}, or with --security-opt seccomp=unconfined`
        : "see the lines on tracing above; security modules (SELinux: deny_ptrace, AppArmor) may forbid it as well",
  };
}
