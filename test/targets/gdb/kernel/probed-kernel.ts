import { setImmediate } from "node:timers/promises";
import type { Address } from "../../../../src/base/address.js";
import { ProbeCore } from "../../../../src/probes/core.js";
import { leave } from "../../../../src/probes/leaving.js";
import { type HandlerOutcome, RETURNED } from "../../../../src/probes/outcome.js";
import type { Hit, Probe, ProbeDefinition } from "../../../../src/probes/probe.js";
import { KernelImage } from "../../../../src/symbols/kernel/image.js";
import type { GuestCommand } from "../../../../src/targets/lab/guest-command.js";
import type { LabMachine } from "../../../../src/targets/lab/machine.js";
import { type KernelOptions, KernelTarget } from "../../../../src/targets/gdb/kernel/target.js";
import { CONTINUE } from "../../../../src/targets/target.js";

const images = new Map<string, KernelImage>();
/** A turn of the loop that waits for stops; milliseconds. */
const TURN = 5;
/** A guest that meets nothing for so long has no hit under way, however busy this machine is; milliseconds. */
const QUIET = 60;

export function imageOf(machine: LabMachine): KernelImage {
  const known = images.get(machine.kernel);
  if (known !== undefined) return known;
  const image = KernelImage.open(machine.kernel);
  images.set(machine.kernel, image);
  return image;
}

/** A handler that does something and returns. */
export function doing(body: (hit: Hit) => void): (hit: Hit) => HandlerOutcome {
  return (hit) => {
    body(hit);
    return RETURNED;
  };
}

/** A machine's kernel with a core on it, as a session would have it, and the loop that drives both. */
export class ProbedKernel implements AsyncDisposable {
  readonly target: KernelTarget;
  readonly core: ProbeCore;
  readonly failures: string[] = [];
  /** Instructions that an interrupt came before. */
  deferred = 0;

  constructor(
    readonly machine: LabMachine,
    readonly image = imageOf(machine),
    options: KernelOptions = {},
  ) {
    this.target = KernelTarget.connect(`unix:${machine.stub}`, image, options);
    this.core = new ProbeCore(this.target, {
      probeDisarmed: (probe, why) => this.failures.push(`${probe.definition.name} disarmed: ${why}`),
      handlerFailed: (probe, outcome) => {
        if (outcome.kind !== "handler-fault")
          this.failures.push(`${probe.definition.name}: ${JSON.stringify(outcome)}`);
      },
      locationLost: ({ address }, why) => this.failures.push(`${String(address)} lost: ${why}`),
    });
  }

  address(symbol: string, offset = 0): Address {
    const vaddr = this.image.symbol(symbol);
    if (vaddr === undefined) throw new Error(`no symbol ${symbol}`);
    return (vaddr + offset + this.target.slide) as Address;
  }

  probe(symbol: string, offset: number, definition: Partial<ProbeDefinition>): Probe {
    const probe = this.core.register({ name: `${symbol}+${String(offset)}`, ...definition });
    this.core.arm(probe, this.target.space, this.address(symbol, offset));
    return probe;
  }

  /** Deals with stops until a promise settles. */
  async until<Result>(what: Promise<Result>): Promise<Result> {
    const state = { isSettled: false };
    const done = (): void => {
      state.isSettled = true;
    };
    what.then(done, done);
    for (;;) {
      this.turn();
      await setImmediate();
      if (state.isSettled) return what;
    }
  }

  /** Runs a command of the guest under the probes. @returns what it printed */
  async run(command: string): Promise<{ readonly output: string; readonly status: number }> {
    const output: Uint8Array[] = [];
    const loaded: GuestCommand = await this.until(
      this.machine.load(command, {
        output: (bytes) => output.push(bytes),
        error: (bytes) => output.push(bytes),
      }),
    );
    loaded.start();
    const status = await this.until(loaded.ended);
    this.settle();
    return { output: Buffer.concat(output).toString(), status };
  }

  /** Deals with stops until none comes: then no hit is under way. */
  settle(): void {
    while (this.deal(performance.now() + QUIET));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    leave(this.core, this.target, () => undefined);
    await this.target[Symbol.asyncDispose]();
  }

  private turn(): void {
    const until = performance.now() + TURN;
    while (this.deal(until) && performance.now() < until);
  }

  private deal(until: number): boolean {
    const stop = this.target.wait(until);
    if (stop === undefined) return false;
    if (stop.kind === "deferred") this.deferred++;
    if (!this.core.handle(stop) && stop.kind !== "thread-gone") this.target.resume(stop.thread, CONTINUE);
    return true;
  }
}
