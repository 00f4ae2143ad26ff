import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cachedKernel, packagedKernel } from "../../../src/targets/lab/kernel-package.js";
import type { LabMachine } from "../../../src/targets/lab/machine.js";
import { bootedLab } from "../../support/lab.js";

/** Scripts that a guest runs; compiled, this file is in build/test/transparency/kernel. */
const SCRIPTS = fileURLToPath(new URL("../../../../test/transparency/kernel/", import.meta.url));
/** A module for the workload to load: a network interface that leads nowhere. */
const MODULE = "kernel/drivers/net/dummy.ko";
const MEMORY_MIB = 1024;

export type WorkloadName = "workload" | "small";

/** What a guest's run of a workload printed, and how long it took. */
export interface Run {
  readonly output: string;
  readonly seconds: number;
}

/** Boots a guest that has the workload. */
export async function bootedGuest(workload: WorkloadName, smp: number): Promise<LabMachine> {
  const { modules } = cachedKernel() ?? (await packagedKernel(() => undefined));
  return bootedLab({
    memory: MEMORY_MIB,
    smp,
    files: new Map([
      ["/w/run", { bytes: readFileSync(`${SCRIPTS}${workload}.sh`) }],
      ["/w/dummy.ko", { bytes: readFileSync(`${modules}/${MODULE}`) }],
    ]),
  });
}

/** @throws Error the workload failed */
export async function runWorkload(machine: LabMachine): Promise<Run> {
  const began = performance.now();
  const { output, error, status } = await machine.run("sh /w/run");
  if (status !== 0) throw new Error(`the workload failed with status ${String(status)}: ${error}`);
  return { output, seconds: (performance.now() - began) / 1000 };
}

/**
 * The kernel functions that the workload enters, of those that the guest's own tracer can count: one of its
 * counters stands at each, which goes from 1 to 0. Linux Documentation/trace/ftrace.rst, "Filter commands".
 */
export async function enteredFunctions(machine: LabMachine): Promise<readonly string[]> {
  const { output, status } = await machine.run(`cd /sys/kernel/tracing && echo 1 >tracing_on &&
    echo '*:stacktrace:1' >set_ftrace_filter && (cd / && sh /w/run >/dev/null 2>&1)
    grep ':count=0$' set_ftrace_filter | cut -d: -f1 | sort -u; echo >set_ftrace_filter; echo 0 >tracing_on; echo >trace`);
  const names = output.split("\n").filter((line) => /^[\w.]+$/.test(line));
  if (status !== 0 || names.length === 0) throw new Error("the guest's own tracer counted nothing");
  return names;
}

/** The kernel's complaints, if there are any. */
export async function complaints(machine: LabMachine): Promise<readonly string[]> {
  const { output } = await machine.run("dmesg");
  const bad =
    /WARNING|BUG:|Oops|Call Trace|general protection|stall|soft lockup|hung task|scheduling while atomic/;
  return output.split("\n").filter((line) => bad.test(line));
}
