import { parseKernel } from "./parse-kernel.js";
import { type PointComponent, returnOrEntry, text, unknown, UnknownPoint } from "./components.js";
import type { Point, ProgramPattern } from "./point.js";

const PERIODS: Readonly<Record<string, number>> = {
  s: 1000,
  sec: 1000,
  ms: 1,
  msec: 1,
  us: 1e-3,
  usec: 1e-3,
  ns: 1e-6,
  nsec: 1e-6,
};

const FIRST = ["begin", "end", "error", "never", "timer", "process", "syscall", "kernel", "module"];

/** @throws UnknownPoint */
export function parsePoint(components: readonly PointComponent[]): Point {
  const [first, ...rest] = components;
  if (first === undefined) throw unknown(first, FIRST);
  switch (first.name) {
    case "begin":
    case "end":
    case "error":
      if (rest.length > 0) throw unknown(rest[0], []);
      return { kind: first.name, order: typeof first.argument === "bigint" ? Number(first.argument) : 0 };
    case "never":
      return { kind: "never" };
    case "timer":
      return parseTimer(rest);
    case "process":
      return parseProcess(programOf(first), rest);
    case "syscall":
      return parseSystemCall(rest);
    case "kernel":
    case "module":
      return parseKernel(first, rest);
    default:
      throw unknown(first, FIRST);
  }
}

function parseTimer(components: readonly PointComponent[]): Point {
  const [unit, ...rest] = components;
  if (unit?.name === "hz" && typeof unit.argument === "bigint" && unit.argument > 0n) {
    return { kind: "timer", milliseconds: 1000 / Number(unit.argument) };
  }
  const scale = unit === undefined ? undefined : PERIODS[unit.name];
  if (unit === undefined || scale === undefined) throw unknown(unit, [...Object.keys(PERIODS), "hz"]);
  if (typeof unit.argument !== "bigint" || unit.argument <= 0n) {
    throw new UnknownPoint(`timer.${unit.name} takes a positive number`, []);
  }
  // .randomize(N): the period is spread by N; without randomness it is the period itself.
  if (rest.length > 0) throw unknown(rest[0], []);
  return { kind: "timer", milliseconds: Math.max(Number(unit.argument) * scale, MINIMUM_PERIOD) };
}

/** No timer of ours is finer, milliseconds. */
const MINIMUM_PERIOD = 0.1;

const PROCESS_PARTS = ["function", "statement", "library", "begin", "end", "thread", "syscall"];

function parseProcess(program: ProgramPattern, components: readonly PointComponent[]): Point {
  const [part, ...rest] = components;
  if (part === undefined) throw unknown(part, PROCESS_PARTS);
  switch (part.name) {
    case "library":
    case "function":
    case "statement":
      return parseText(program, components);
    case "begin":
    case "end":
      if (rest.length > 0) throw unknown(rest[0], []);
      return { kind: "process", program, event: part.name };
    case "thread": {
      const [event, ...more] = rest;
      if (event?.name !== "begin" && event?.name !== "end") throw unknown(event, ["begin", "end"]);
      if (more.length > 0) throw unknown(more[0], []);
      return { kind: "process", program, event: `thread.${event.name}` };
    }
    case "syscall":
      return { kind: "system-call", program, name: undefined, where: returnOrEntry(rest) };
    default:
      throw unknown(part, PROCESS_PARTS);
  }
}

function parseText(program: ProgramPattern, components: readonly PointComponent[]): Point {
  let library: string | undefined;
  let [part, ...rest] = components;
  if (part?.name === "library") {
    library = text(part);
    [part, ...rest] = rest;
  }
  if (part === undefined) throw unknown(part, ["function", "statement"]);
  switch (part.name) {
    case "function":
      return { kind: "function", program, library, functions: text(part), where: returnOrEntry(rest) };
    case "statement": {
      if (typeof part.argument !== "bigint") {
        throw new UnknownPoint("statement takes an address: source lines need debug information", []);
      }
      const [absolute, ...more] = rest;
      if (absolute !== undefined && (absolute.name !== "absolute" || more.length > 0))
        throw unknown(absolute, ["absolute"]);
      return { kind: "statement", program, library, vaddr: part.argument };
    }
    default:
      throw unknown(part, ["function", "statement"]);
  }
}

function parseSystemCall(components: readonly PointComponent[]): Point {
  const [name, ...rest] = components;
  if (name === undefined) throw unknown(name, ["*", "open", "read", "write"]);
  return { kind: "system-call", program: { kind: "any" }, name: name.name, where: returnOrEntry(rest) };
}

function programOf(component: PointComponent): ProgramPattern {
  const { argument } = component;
  if (argument === undefined) return { kind: "target" };
  return typeof argument === "string"
    ? { kind: "path", path: argument }
    : { kind: "pid", pid: Number(argument) };
}
