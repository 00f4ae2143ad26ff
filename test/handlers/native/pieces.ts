import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Address } from "../../../src/base/address.js";
import { GENERAL_REGISTERS, type General } from "../../../src/arch/x86_64/assembler.js";
import type { NativeHandler } from "../../../src/handlers/native/compile.js";
import { initialData, type GlobalLayout } from "../../../src/handlers/native/global-layout.js";

/** The layout that run-pieces.c makes; keep the two together. */
const CODE = 0x2000_0000 as Address;
const DATA = 0x2020_0000 as Address;
/** Readable memory of the target, a page, with nothing behind it. */
export const MEMORY = 0x2040_0000;
export const MEMORY_LENGTH = 0x1000;
export const STACK = 0x2050_0000;
export const STACK_LENGTH = 0x1_0000;
/** What the harness says the probed instruction's address is. */
export const PROBED = 0x40_1136 as Address;

/** Registers by their numbers, then the flags. */
const COUNT = GENERAL_REGISTERS.length + 1;
const RESULT_LENGTH = 24 + 8 * COUNT;

export type Registers = Readonly<Record<General | "flags", bigint>>;

/** A handler, and the registers of each of its hits. */
export interface Case {
  readonly handler: NativeHandler;
  readonly layout: GlobalLayout;
  readonly hits: readonly Registers[];
  readonly mostFaults?: number;
}

/** What a hit left behind. */
export interface Left {
  /** Half a sentence of what must not be; undefined where all is well. */
  readonly wrong: string | undefined;
  readonly faults: number;
  readonly stackUsed: number;
  readonly data: DataView;
}

const source = path.resolve(import.meta.dirname, "../../../../test/handlers/native/run-pieces.c");

/** The byte that is at an address of {@link MEMORY} and of the stack from the stack pointer upwards. */
export function byteAt(address: number): number {
  return (address * 7 + Math.floor(address / 256)) & 0xff;
}

/** All registers, those that are not given with values of their own. */
export function registers(given: Partial<Registers> = {}): Registers {
  const all = Object.fromEntries(
    GENERAL_REGISTERS.map((name, index) => [name, 0x1111_2222_3333_0000n + BigInt(index)]),
  );
  return { ...all, rsp: BigInt(STACK + 0x8000), flags: 0x202n, ...given } as Registers;
}

/** Runs the hits of each case, one after the other on the same data. */
export function runPieces(cases: readonly Case[]): Left[][] {
  return inFolder((folder) => {
    const [input, output] = [path.join(folder, "cases"), path.join(folder, "results")];
    writeFileSync(input, Buffer.concat(cases.flatMap(encode)));
    execFileSync(program(), ["check", input, output], { stdio: ["ignore", "ignore", "inherit"] });
    return decode(readFileSync(output), cases);
  });
}

/** Runs a handler by several threads at once, each so many hits, with the number of the hit in rdi. */
export function runThreads(one: Case, threads: number, hits: number): DataView {
  return inFolder((folder) => {
    const [input, output] = [path.join(folder, "cases"), path.join(folder, "results")];
    writeFileSync(input, Buffer.concat(encode(one)));
    const words = ["threads", input, output, String(threads), String(hits)];
    execFileSync(program(), words, { stdio: ["ignore", "ignore", "inherit"] });
    return view(new Uint8Array(readFileSync(output)));
  });
}

/** Nanoseconds a hit in several rounds: of a function that does nothing, then of each case. */
export function timePieces(cases: readonly Case[], rounds: number, hits: number): number[][] {
  return inFolder((folder) => {
    const input = path.join(folder, "cases");
    writeFileSync(input, Buffer.concat(cases.flatMap(encode)));
    const words = ["time", input, String(rounds), String(hits)];
    const text = execFileSync(program(), words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
    return text
      .trim()
      .split("\n")
      .map((line) => line.split(" ").map(Number));
  });
}

/** `lea rsp, [rsp-128]`, where the piece is called as a function. */
const SKIP_RED_ZONE = Uint8Array.of(0x48, 0x8d, 0x64, 0x24, 0x80);

/** The code as it is run, for those who read it. */
export function pieceOf(
  handler: NativeHandler,
  lead = new Uint8Array(),
): ReturnType<NativeHandler["assemble"]> {
  return handler.assemble({ at: CODE, data: DATA, probed: PROBED, lead });
}

function encode({ handler, layout, hits, mostFaults = 64 }: Case): Buffer[] {
  const { bytes, entry, cancel, fences } = pieceOf(handler, hits.length === 0 ? SKIP_RED_ZONE : undefined);
  const data = initialData(layout);
  const head = Uint32Array.of(
    bytes.length,
    data.length,
    fences.length,
    hits.length,
    entry,
    cancel,
    mostFaults,
    0,
  );
  const table = Uint32Array.from(fences.flatMap(({ from, to, resume }) => [from, to, resume]));
  const words = BigUint64Array.from(
    hits.flatMap((hit) =>
      [...GENERAL_REGISTERS, "flags" as const].map((name) => BigInt.asUintN(64, hit[name])),
    ),
  );
  return [
    Buffer.from(head.buffer),
    padded(bytes),
    padded(data),
    padded(new Uint8Array(table.buffer)),
    Buffer.from(words.buffer),
  ];
}

function padded(bytes: Uint8Array): Buffer {
  const buffer = Buffer.alloc(Math.ceil(bytes.length / 8) * 8);
  buffer.set(bytes);
  return buffer;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function decode(bytes: Buffer, cases: readonly Case[]): Left[][] {
  let at = 0;
  const results = cases.map(({ layout, hits, handler }) =>
    hits.map((given): Left => {
      const result = view(new Uint8Array(bytes.subarray(at, at + RESULT_LENGTH)));
      const data = view(new Uint8Array(bytes.subarray(at + RESULT_LENGTH, at + RESULT_LENGTH + layout.size)));
      at += RESULT_LENGTH + layout.size;
      const stackUsed = result.getUint32(12, true);
      return { wrong: wrong(result, given, handler), faults: result.getUint32(8, true), stackUsed, data };
    }),
  );
  if (at !== bytes.length)
    throw new Error(`${String(bytes.length)} bytes of results, ${String(at)} expected`);
  return results;
}

function wrong(result: DataView, given: Registers, { stackBytes }: NativeHandler): string | undefined {
  const bits = result.getUint32(0, true);
  const stackUsed = result.getUint32(12, true);
  if ((bits & 4) !== 0)
    return `signal ${String(result.getUint32(4, true))} at +0x${result.getBigUint64(16, true).toString(16)}`;
  const changed = [...GENERAL_REGISTERS, "flags" as const].flatMap((name, index) => {
    const now = result.getBigUint64(24 + 8 * index, true);
    return now === BigInt.asUintN(64, given[name]) ? [] : [`${name} is 0x${now.toString(16)}`];
  });
  if (changed.length > 0) return changed.join(", ");
  if ((bits & 2) !== 0) return "the stack or the red zone was changed";
  if (stackUsed > stackBytes) return `${String(stackUsed)} bytes of stack, ${String(stackBytes)} announced`;
  return bits === 0 ? undefined : "something differs";
}

function inFolder<Result>(body: (folder: string) => Result): Result {
  const folder = mkdtempSync(path.join(tmpdir(), "trapline-pieces-"));
  try {
    return body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Compiled when its source is newer. */
function program(): string {
  const built = path.resolve(import.meta.dirname, "../../../targets/run-pieces");
  if (existsSync(built) && statSync(built).mtimeMs >= statSync(source).mtimeMs) return built;
  mkdirSync(path.dirname(built), { recursive: true });
  const own = `${built}.${String(process.pid)}`;
  execFileSync("gcc", ["-O1", "-pthread", "-o", own, source]);
  renameSync(own, built);
  return built;
}
