// Reads inputs, one after the other, in a thread of its own: one that never ends can be ended from outside.
import { parentPort, workerData } from "node:worker_threads";
import { TraplineError } from "../../src/base/errors.js";
import { Allocations } from "./allocations.js";
import { applyEdits } from "./edits.js";
import { type Answer, emptyTally, type Order, type Tally, WATCH, type WorkerSettings } from "./protocol.js";
import { Random } from "./random.js";
import { type Input, inputOf, type Reader } from "./reader.js";
import { makeReaders } from "./readers.js";

const settings = workerData as WorkerSettings;
const port = parentPort;
if (port === null) throw new Error("this is started as a worker");
const watch = new Int32Array(settings.watch);
const readers = makeReaders(settings.set, settings.folder, settings.hasCompiler);
const allocations = Allocations.watch();
const NAME = "the-input";

/** No part of a file is larger than the file, and tables of numbers are made of its symbols. */
const mostAtOnce = (size: number): number => (4 << 20) + 6 * size;
const mostTogether = (size: number): number => (64 << 20) + 64 * size;

port.on("message", (order: Order) => {
  const reader = readers.find((one) => one.name === order.reader);
  if (reader === undefined) throw new Error(`no reader ${order.reader}`);
  port.postMessage(order.kind === "run" ? runAll(reader, order) : attempt(reader, order));
});
port.postMessage("ready");

function runAll(reader: Reader, order: Extract<Order, { kind: "run" }>): Answer {
  const tally = emptyTally();
  const end = performance.now() + order.milliseconds;
  let seed = order.seed;
  while (seed < order.seed + order.count && performance.now() < end) {
    const what = readOne(reader, inputOf(reader, new Random(seed)), seed, tally);
    seed += 1;
    if (what !== undefined) return { tally, next: seed, failure: { seed: seed - 1, what } };
  }
  return { tally, next: seed, failure: undefined };
}

function attempt(reader: Reader, { input, seed }: Extract<Order, { kind: "attempt" }>): Answer {
  const tally = emptyTally();
  const what = readOne(reader, input, seed, tally);
  return { tally, next: seed, failure: what === undefined ? undefined : { seed, what } };
}

/** @returns what is wrong; undefined where the input was read or refused as it should be */
function readOne(reader: Reader, input: Input, seed: number, tally: Tally): string | undefined {
  const original = reader.originals[input.original]?.bytes ?? Buffer.alloc(0);
  const bytes = applyEdits(original, input.edits);
  tally.inputs += 1;
  allocations.begin();
  Atomics.store(watch, WATCH.seed, seed);
  Atomics.add(watch, WATCH.started, 1);
  let wrong: string | undefined;
  try {
    tally.outcomes[reader.read(bytes, NAME, new Random(~seed))] += 1;
  } catch (error) {
    wrong = judge(error, reader);
    const kind = kindOf(error);
    tally.refusals[kind] = (tally.refusals[kind] ?? 0) + 1;
  }
  Atomics.add(watch, WATCH.started, 1);
  if (wrong !== undefined) return wrong;
  if (allocations.largest > mostAtOnce(bytes.length))
    return `memory: ${String(allocations.largest)} bytes at once for an input of ${String(bytes.length)}`;
  if (allocations.total > mostTogether(bytes.length))
    return `memory: ${String(allocations.total)} bytes for an input of ${String(bytes.length)}`;
  return undefined;
}

function judge(error: unknown, reader: Reader): string | undefined {
  if (!(error instanceof TraplineError))
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  const sentence = reader.sentence ?? new RegExp(NAME);
  return sentence.test(error.message) ? undefined : `the sentence does not say where: ${error.message}`;
}

/** A sentence without what differs from input to input. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return "not an Error";
  return `${error.name}: ${error.message.split("\n", 1)[0] ?? ""}`
    .replace(/(understood|mask|number): .*/s, "$1: …")
    .replaceAll(/\S*\/\S*|the-input/g, "FILE")
    .replaceAll(/'[^']*'/g, "'…'")
    .replaceAll(/(0x)?-?[0-9a-f]*[0-9][0-9a-f]*/g, "N")
    .slice(0, 100);
}
