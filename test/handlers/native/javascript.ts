import { type Address, toBigInt } from "../../../src/base/address.js";
import { MemoryFault } from "../../../src/base/errors.js";
import { GENERAL_REGISTERS } from "../../../src/arch/x86_64/assembler.js";
import { RegisterFile } from "../../../src/arch/x86_64/registers.js";
import { compileHandlers } from "../../../src/handlers/js/compile.js";
import { type GlobalLayout, PROBE, readStatistic } from "../../../src/handlers/native/global-layout.js";
import type * as ir from "../../../src/ir/ir.js";
import { Hit, Probe } from "../../../src/probes/probe.js";
import { HandlerContext, type SessionServices } from "../../../src/runtime/context.js";
import { createHistogram, type HistogramShape } from "../../../src/runtime/histograms.js";
import type { Limits } from "../../../src/runtime/limits.js";
import { NoTarget } from "../../../src/targets/nothing.js";
import type { Memory, ThreadId } from "../../../src/targets/target.js";
import { SCENE } from "../../script/run.js";
import { byteAt, MEMORY, MEMORY_LENGTH, PROBED, type Registers, STACK, STACK_LENGTH } from "./pieces.js";

/** What a hit came to, in either back end. */
export interface Result {
  /** `returned`, `cancelled`, or the message of the script error. */
  readonly outcome: string;
  readonly faults: number;
  /** All globals as a text. */
  readonly globals: string;
}

/** Runs a handler for some hits by the JavaScript back end. */
export function runInJavaScript(
  program: ir.Program,
  number: number,
  hits: readonly Registers[],
  limits: Limits,
): Result[] {
  let output = "";
  const services: SessionServices = {
    limits,
    strictFaults: false,
    print: (text) => {
      output += text;
    },
    warn: () => undefined,
    log: () => undefined,
    exit: () => undefined,
  };
  const context = new HandlerContext(services);
  const observed = { ...program, handlers: [...program.handlers, observer(program)] };
  const handlers = compileHandlers(observed, context, SCENE);
  const [handler, observe] = [handlers[number], handlers.at(-1)];
  if (handler === undefined || observe === undefined) throw new Error("no such handler");
  const hit = new Hit(new PatternTarget());
  hit.probe = new Probe(1, { name: "test" });
  hit.thread = 7 as ThreadId;
  hit.at = PROBED;
  return hits.map((given) => {
    hit.registers = new RegisterFile();
    for (const name of GENERAL_REGISTERS) hit.registers.write(name, given[name]);
    hit.registers.pc = PROBED;
    hit.handlerFaults = 0;
    const outcome = handler(hit);
    const faults = hit.handlerFaults;
    output = "";
    const observation = observe(hit);
    if (observation.kind !== "returned") throw new Error(JSON.stringify(observation));
    return { outcome: nameOf(outcome), faults, globals: output };
  });
}

function nameOf(outcome: ReturnType<ReturnType<typeof compileHandlers>[number]>): string {
  if (outcome.kind === "error") return outcome.message;
  return outcome.kind === "handler-fault" ? "cancelled" : outcome.kind;
}

/** A handler that prints what all globals hold. */
function observer(program: ir.Program): ir.Handler {
  const where = "the observer";
  const body = program.globals.flatMap(({ name, type, statistic }): ir.Statement[] => {
    const place: ir.Place = { kind: "global", name, type };
    const print = (format: string, ...values: ir.Expression[]): ir.Statement => ({
      kind: "print",
      where,
      text: { kind: "format", type: "string", where, format, arguments: values },
    });
    if (type === "long") return [print(`${name} %d\n`, place)];
    if (type !== "statistic") return [];
    const field = (which: ir.StatisticOperator): ir.Expression => ({
      kind: "statistic",
      type: "long",
      field: which,
      operand: place,
      where,
    });
    const all: ir.Statement[] = [
      print(`${name} %d %d %d %d\n`, field("count"), field("sum"), field("min"), field("max")),
    ];
    if (statistic.histogram !== undefined) all.push({ kind: "print-histogram", where, operand: place });
    return [
      { kind: "if", where, condition: field("count"), then: all, otherwise: [print(`${name} is empty\n`)] },
    ];
  });
  return { locals: [], body, entry: [] };
}

/** The same text, from the data that machine code works on. */
export function showGlobals(program: ir.Program, layout: GlobalLayout, data: DataView): string {
  return program.globals
    .map(({ name }): string => {
      const global = layout.globals.get(name);
      if (global?.kind === "long") return `${name} ${data.getBigInt64(global.at, true).toString()}\n`;
      if (global?.kind !== "statistic") return "";
      const { count, sum, min, max, buckets } = readStatistic(data, global);
      if (count === 0n) return `${name} is empty\n`;
      const line = `${name} ${[count, sum, min, max].join(" ")}\n`;
      return global.histogram === undefined ? line : `${line}${showHistogram(global.histogram, buckets)}`;
    })
    .join("");
}

function showHistogram(shape: HistogramShape, buckets: readonly bigint[]): string {
  const histogram = createHistogram(shape);
  buckets.forEach((hits, bucket) => {
    for (let hit = 0n; hit < hits; hit++) histogram.add(valueIn(shape, bucket));
  });
  return histogram.render();
}

/** A value that belongs into a bucket. */
function valueIn(shape: HistogramShape, bucket: number): bigint {
  if (shape.kind === "linear") return BigInt(shape.start) + BigInt(bucket - 1) * BigInt(shape.interval);
  if (bucket === 64) return 0n;
  return bucket > 64 ? 1n << BigInt(bucket - 65) : -(1n << BigInt(63 - bucket));
}

/** What the probe's block of the data says of a hit, given what it said before. */
export function outcomeIn(
  data: DataView,
  before: DataView | undefined,
  block: number,
  errors: readonly { readonly message: string }[],
): string {
  const more = (word: number): bigint =>
    data.getBigInt64(block + word, true) - (before?.getBigInt64(block + word, true) ?? 0n);
  if (more(PROBE.hits) !== 1n) return `${more(PROBE.hits).toString()} hits`;
  if (more(PROBE.skipped) !== 0n) return "skipped";
  if (more(PROBE.cancelled) === 1n) return "cancelled";
  if (more(PROBE.errors) === 0n) return "returned";
  const first = data.getUint32(block + PROBE.firstError, true);
  return errors[first - 1]?.message ?? `error ${String(first)}`;
}

/** A target with the memory that run-pieces.c has. */
class PatternTarget extends NoTarget {
  override memory(): Memory {
    const isThere = (at: number): boolean =>
      (at >= MEMORY && at < MEMORY + MEMORY_LENGTH) || (at >= STACK && at < STACK + STACK_LENGTH);
    const readSome = (address: Address, into: Uint8Array): number => {
      for (let index = 0; index < into.length; index++) {
        if (!isThere(address + index)) return index;
        into[index] = byteAt(address + index);
      }
      return into.length;
    };
    const faultAt = (address: Address): MemoryFault => new MemoryFault(toBigInt(address), "read", "unmapped");
    const read = (address: Address, into: Uint8Array): void => {
      const got = readSome(address, into);
      if (got < into.length) throw faultAt((address + got) as Address);
    };
    // Handlers of scripts only read.
    return { read, readSome, faultAt } as Memory;
  }
}
