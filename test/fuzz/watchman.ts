import { Worker } from "node:worker_threads";
import { type Answer, emptyTally, type Order, WATCH } from "./protocol.js";

/** Processor time that one input may take, and the time on the clock after which it is stuck. */
const MOST_CPU_MS = 2000;
const CPU_MS_PER_MEGABYTE = 100;
const MOST_WALL_MS = 60_000;
const LOOK_EVERY_MS = 100;
const HEAP_MB = 512;
/** What the main thread has: less than a worker is given otherwise. */
const STACK_MB = 1;

/** Keeps a worker, gives it orders, and ends it where an input does not end by itself. */
export class Watchman implements AsyncDisposable {
  private worker: Worker | undefined;
  private readonly buffer = new SharedArrayBuffer(4 * WATCH.words);
  private readonly words = new Int32Array(this.buffer);
  /** Names and numbers of originals. */
  readers: readonly { readonly name: string; readonly originals: number }[] = [];

  constructor(
    private readonly folder: string,
    private readonly hasCompiler: boolean,
  ) {}

  async start(): Promise<void> {
    const workerData = { folder: this.folder, hasCompiler: this.hasCompiler, watch: this.buffer };
    const limits = { maxOldGenerationSizeMb: HEAP_MB, stackSizeMb: STACK_MB };
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData,
      resourceLimits: limits,
    });
    this.worker = worker;
    this.readers = await new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    worker.removeAllListeners("message").removeAllListeners("error");
  }

  /** @param megabytes of the reader's largest input: what must all be looked at takes its time */
  async ask(order: Order, megabytes = 0): Promise<Answer> {
    if (this.worker === undefined) await this.start();
    const worker = this.worker;
    if (worker === undefined) throw new Error("the worker did not start");
    const mostCpu = MOST_CPU_MS + CPU_MS_PER_MEGABYTE * megabytes;
    let timer: NodeJS.Timeout | undefined;
    const failed = (what: string): Answer => {
      const seed = Atomics.load(this.words, WATCH.seed);
      this.worker = undefined;
      return { tally: { ...emptyTally(), inputs: 1 }, next: seed + 1, failure: { seed, what } };
    };
    try {
      return await new Promise<Answer>((resolve) => {
        worker.once("message", resolve);
        worker.once("error", (error: Error) => {
          resolve(failed(`memory: ${error.message}`));
        });
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
      worker.removeAllListeners("message").removeAllListeners("error");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker?.terminate();
  }
}
