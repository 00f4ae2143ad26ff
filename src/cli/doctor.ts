import { readFileSync, writeSync } from "node:fs";

/** Says what this machine allows, and the remedy. @returns 0 where processes can be probed, else 2 */
export async function doctor(): Promise<number> {
  const lines: string[] = [];
  /** One entry for each thing that makes probing impossible: false. */
  const possible: boolean[] = [];
  const say = (verdict: "ok" | "no" | "note", what: string, remedy = ""): void => {
    possible.push(verdict !== "no");
    lines.push(`${verdict.padEnd(4)}  ${what}${remedy === "" ? "" : `\n      → ${remedy}`}`);
  };
  const linux = process.platform === "linux" && process.arch === "x64";
  say(
    linux ? "ok" : "no",
    `system: ${process.platform} ${process.arch}`,
    linux ? "" : "trapline needs Linux on x86-64",
  );
  const major = Number(process.versions.node.split(".")[0]);
  say(
    major >= 20 ? "ok" : "no",
    `Node ${process.versions.node}`,
    major >= 20 ? "" : "install Node 20 or later",
  );
  if (linux) {
    reportPtrace(say);
    const { canRunBeside } = await import("../targets/linux/scheduling.js");
    if (canRunBeside()) say("ok", "the tracer can run on the target's processor (about 7 µs a hit)");
    else
      say(
        "note",
        "the tracer cannot share the target's processor: a hit costs up to 80 µs",
        "run as root, give CAP_SYS_NICE, or raise the limit: ulimit -e 20",
      );
  }
  writeSync(1, `${lines.join("\n")}\n`);
  return possible.every(Boolean) ? 0 : 2;
}

function reportPtrace(say: (verdict: "ok" | "no" | "note", what: string, remedy?: string) => void): void {
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? "0";
  const CAP_SYS_PTRACE = 19n;
  const capable = (BigInt(`0x${field("CapEff")}`) & (1n << CAP_SYS_PTRACE)) !== 0n;
  say(
    capable ? "ok" : "note",
    capable
      ? "any process may be attached to (CAP_SYS_PTRACE)"
      : "only your own processes may be attached to",
    capable ? "" : "run as root for others",
  );
  if (field("Seccomp") !== "0")
    say(
      "note",
      "this shell runs under a seccomp filter, which may forbid ptrace",
      "in a container: --cap-add=SYS_PTRACE, --security-opt seccomp=unconfined",
    );
  let scope: string | undefined;
  try {
    scope = readFileSync("/proc/sys/kernel/yama/ptrace_scope", "utf8").trim();
  } catch (error) {
    // No such file: the kernel has no Yama, and nothing of it to forbid.
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  if (scope === undefined || scope === "0") say("ok", "attaching is not restricted (Yama)");
  else if (scope === "3")
    say(
      "no",
      "kernel.yama.ptrace_scope is 3: nobody may trace anything until the next boot",
      "boot with another setting",
    );
  else if (capable) say("ok", `kernel.yama.ptrace_scope is ${scope}, which does not concern root`);
  else
    say(
      "note",
      `kernel.yama.ptrace_scope is ${scope}: only programs that trapline starts (-c) can be probed`,
      "sudo sysctl kernel.yama.ptrace_scope=0",
    );
}
