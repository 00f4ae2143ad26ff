import { Worker } from "node:worker_threads";
import { type Answer, emptyTally, type Order, WATCH, type WorkerSettings } from "./protocol.js";
import type { ReaderSet } from "./readers.js";

/** What one input may take. */
export interface Bounds {
  /** Processor time. */
  readonly milliseconds: number;
  /** Of the whole worker. */
  readonly heapMegabytes: number;
}

export const BOUNDS: Bounds = { milliseconds: 2000, heapMegabytes: 512 };

const CPU_MS_PER_MEGABYTE = 100;
/** Time on the clock after which it is stuck. */
const MOST_WALL_MS = 60_000;
const LOOK_EVERY_MS = 100;
/** What the main thread has: less than a worker is given otherwise. */
const STACK_MB = 1;

/** Keeps a worker, gives it orders, and ends it where an input does not end by itself. */
export class Watchman implements AsyncDisposable {
  private worker: Worker | undefined;
  private readonly buffer = new SharedArrayBuffer(4 * WATCH.words);
  private readonly words = new Int32Array(this.buffer);

  constructor(
    private readonly set: ReaderSet,
    private readonly folder: string,
    private readonly hasCompiler: boolean,
    private readonly bounds: Bounds,
  ) {}

  async start(): Promise<void> {
    // The one before may have ended within an input.
    Atomics.store(this.words, WATCH.started, 0);
    const workerData: WorkerSettings = {
      set: this.set,
      folder: this.folder,
      hasCompiler: this.hasCompiler,
      watch: this.buffer,
    };
    const limits = { maxOldGenerationSizeMb: this.bounds.heapMegabytes, stackSizeMb: STACK_MB };
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData,
      resourceLimits: limits,
    });
    this.worker = worker;
    await new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    worker.removeAllListeners("message").removeAllListeners("error");
    // One that is being ended can still come to the end of its memory.
    worker.on("error", () => undefined);
  }

  /** @param megabytes of the reader's largest input: what must all be looked at takes its time */
  async ask(order: Order, megabytes = 0): Promise<Answer> {
    if (this.worker === undefined) await this.start();
    const worker = this.worker;
    if (worker === undefined) throw new Error("the worker did not start");
    const mostCpu = this.bounds.milliseconds + CPU_MS_PER_MEGABYTE * megabytes;
    let timer: NodeJS.Timeout | undefined;
    let onError: ((error: Error) => void) | undefined;
    const failed = (what: string): Answer => {
      const seed = Atomics.load(this.words, WATCH.seed);
      this.worker = undefined;
      return { tally: { ...emptyTally(), inputs: 1 }, next: seed + 1, failure: { seed, what } };
    };
    try {
      return await new Promise<Answer>((resolve) => {
        worker.once("message", resolve);
        onError = (error) => {
          resolve(failed(`memory: ${error.message}`));
        };
        worker.on("error", onError);
        worker.postMessage(order);
        let started = -1;
        let cpu = process.cpuUsage();
        let wall = performance.now();
        timer = setInterval(() => {
          const now = Atomics.load(this.words, WATCH.started);
          // An even number: between two inputs, where only inputs are made.
          if (now !== started || now % 2 === 0) {
            started = now;
            cpu = process.cpuUsage();
            wall = performance.now();
            return;
          }
          const { user, system } = process.cpuUsage(cpu);
          const took = (user + system) / 1000;
          if (took < mostCpu && performance.now() - wall < MOST_WALL_MS) return;
          clearInterval(timer);
          void worker.terminate();
          resolve(failed(`no end: ${took.toFixed(0)} ms of processor time`));
        }, LOOK_EVERY_MS);
      });
    } finally {
      clearInterval(timer);
      worker.removeAllListeners("message");
      if (onError !== undefined) worker.off("error", onError);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker?.terminate();
  }
}
