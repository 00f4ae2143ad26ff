import { setTimeout } from "node:timers/promises";
import { isatty } from "node:tty";
import type { DescriptorWriter } from "../output/descriptor-writer.js";
import { OutputError } from "../output/output-error.js";
import { STANDARD_OUTPUT, standardError, standardOutput } from "../output/standard-streams.js";
import { packagedKernel } from "../targets/lab/kernel-package.js";
import { type LabOptions, bootLab, type LabMachine } from "../targets/lab/machine.js";
import { type MachineEnd, machineEndText } from "../targets/lab/machine-end.js";
import type { KernelOptions, LabRequest, SessionOptions } from "./options.js";
import { problemOf } from "./script/problems.js";
import type { ScriptWorker, SessionEnd } from "./script-worker.js";

/** What a session in a lab has of the one that runs it. */
export interface LabControl {
  /**
   * Asks the session to end, as `exit()` does.
   *
   * @param status of the guest's command, where it has ended
   */
  readonly endSession: (status?: number) => void;
  /** Aborted by the first Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/**
 * Runs a session on a machine that is booted for it, while the script is compiled. The guest's command
 * stands before its exec until all is armed; the session ends with it. Its output goes where a launched
 * program's would. The machine ends with the session, unless it is kept.
 */
export async function runInLab(
  options: SessionOptions,
  kernel: KernelOptions,
  lab: LabRequest,
  worker: ScriptWorker,
  control: LabControl,
): Promise<SessionEnd> {
  try {
    const image = kernel.image ?? (await packagedKernel(say)).image;
    worker.tell({ kind: "options", options: { ...options, kernel: { ...kernel, image } } });
    const runs = options.list === undefined && options.lastPass === 5;
    return runs ? await runOnMachine(options.command, lab, image, worker, control) : await worker.ended;
  } catch (error) {
    await worker.cancel();
    if (control.interrupted.aborted) return { kind: "ended", status: INTERRUPTED };
    return { kind: "failed", problem: problemOf(error) };
  }
}

/** 128 + SIGINT, as a shell says it. */
const INTERRUPTED = 130;

async function runOnMachine(
  command: string | undefined,
  lab: LabRequest,
  image: string,
  worker: ScriptWorker,
  { endSession, interrupted }: LabControl,
): Promise<SessionEnd> {
  const boot = new AbortController();
  let booting = true;
  const abort = (): void => {
    if (booting) boot.abort();
  };
  interrupted.addEventListener("abort", abort);
  // A script that is no script is told without waiting for a machine.
  void worker.ended.then(abort, abort);
  let booted: BootedMachine;
  try {
    booted = await bootWithCommand(
      command,
      lab,
      { kernel: image, signal: boot.signal, tell: say },
      endSession,
    );
  } catch (error) {
    if (boot.signal.aborted && !interrupted.aborted) return await worker.ended;
    throw error;
  } finally {
    booting = false;
    interrupted.removeEventListener("abort", abort);
  }
  const { machine, start, process, commandEnded } = booted;
  try {
    void worker.armed.then(start);
    worker.tell({ kind: "machine", machine: { gdb: `unix:${machine.stub}`, process } });
    const end = await worker.ended;
    const gone = await howMachineEnded(machine, commandEnded);
    if (gone !== undefined) say(machineEndText(gone));
    return end;
  } finally {
    if (lab.keep && machine.gone === undefined) keep(machine);
    else await machine.end();
  }
}

/** QEMU closes its stub first, and ends then: a session that ended with the one is told of the other. */
const QEMU_LEAVES_MILLISECONDS = 300;

async function howMachineEnded(
  machine: LabMachine,
  commandEnded: Promise<unknown> | undefined,
): Promise<MachineEnd | undefined> {
  const lives = setTimeout(QEMU_LEAVES_MILLISECONDS, undefined, { ref: false });
  const outlived = commandEnded?.then(
    () => machine.gone,
    async () => machine.ended,
  );
  return Promise.race([machine.ended, lives, ...(outlived === undefined ? [] : [outlived])]);
}

interface BootedMachine {
  readonly machine: LabMachine;
  /** Lets the command go, where there is one. */
  readonly start: () => void;
  readonly process: number | undefined;
  /** Rejects where the machine ended first. */
  readonly commandEnded: Promise<number> | undefined;
}

/** Boots, and gets the command ready. */
async function bootWithCommand(
  command: string | undefined,
  lab: LabRequest,
  options: LabOptions,
  endSession: LabControl["endSession"],
): Promise<BootedMachine> {
  const machine = await bootLab({ ...options, smp: lab.smp, modules: lab.modules, keep: lab.keep });
  if (command === undefined)
    return { machine, start: () => undefined, process: undefined, commandEnded: undefined };
  try {
    const [output, error] = [passingOn(standardOutput(), endSession), passingOn(standardError(), endSession)];
    const loaded = await machine.load(command, { output, error }, isatty(STANDARD_OUTPUT));
    // However it ended, and whoever ended it: there is nothing left to wait for.
    void loaded.ended.then(endSession, () => {
      endSession();
    });
    const start = (): void => {
      loaded.start();
    };
    return { machine, start, process: loaded.pid, commandEnded: loaded.ended };
  } catch (error) {
    await machine.end();
    throw error;
  }
}

/** Nobody reading what the guest prints ends the session: the guest's program cannot be told. */
function passingOn(writer: DescriptorWriter, endSession: () => void): (bytes: Uint8Array) => void {
  return (bytes) => {
    try {
      writer.write(Buffer.from(bytes).toString("latin1"));
      writer.flush();
    } catch (error) {
      if (!(error instanceof OutputError)) throw error;
      endSession();
    }
  };
}

function keep(machine: LabMachine): void {
  machine.release();
  say(`the machine lives on: trapline --gdb unix:${machine.stub} --kernel ${machine.kernel} -e SCRIPT`);
  say(`this ends it: kill ${String(machine.pid)}`);
}

function say(sentence: string): void {
  const messages = standardError();
  messages.writeText(`trapline: ${sentence}\n`);
  messages.close();
}
