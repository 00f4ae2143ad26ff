import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Address, addressOf } from "../../src/base/address.js";
import { MemoryFault } from "../../src/base/errors.js";
import { REGISTERS, RegisterFile, type RegisterName } from "../../src/arch/x86_64/registers.js";

/** The layout that run-instruction.c makes; keep the two together. */
export const CODE = 0x2000_0000 as Address;
export const DATA = 0x2000_1000 as Address;
export const STACK = 0x2000_2000 as Address;
export const NEAR_SLOT = 0x9fff_0000 as Address;
export const FAR_SLOT = 0x5000_0000_0000 as Address;
/** Such that jumps from {@link CODE} can have bytes that trap. */
export const MIDDLE_SLOT = 0x2617_0000 as Address;
const MEMORY_LENGTH = 2 * 4096;

const CASE_CODE = 512;
const CASE_OTHER = 64;
const CASE_HEADER = 32;
/** Of the two pages for slots, where their last words are. */
export const SLOT_WORD = 4096 - 8;
const REGISTER_BYTES = 8 * REGISTERS.length;
const CASE_LENGTH = CASE_HEADER + CASE_CODE + CASE_OTHER + REGISTER_BYTES;
const RESULT_LENGTH = 24 + 2 * REGISTER_BYTES + 16 + MEMORY_LENGTH;

export interface Run {
  readonly codeAt: Address;
  readonly code: Uint8Array;
  readonly registers: RegisterFile;
  /** Stop after so many single steps. */
  readonly steps?: number;
  /** More code. */
  readonly other?: { readonly at: Address; readonly code: Uint8Array };
  /** Instead of {@link freshMemory}. */
  readonly memory?: Uint8Array;
}

export interface Outcome {
  readonly signal: number;
  readonly code: number;
  readonly address: bigint;
  readonly vectors: bigint;
  readonly registers: RegisterFile;
  /** Of the process that the instruction created; all 0 where it created none. */
  readonly newProcess: RegisterFile;
  /** The words at {@link SLOT_WORD} of the near and of the far page for slots. */
  readonly words: readonly [near: bigint, far: bigint];
  readonly memory: Uint8Array;
}

/** Whether the machine has a C compiler; where not, tests on the processor are counted as skipped. */
export const compiler: string | undefined = ["gcc", "cc"].find((name) => {
  try {
    execFileSync(name, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false; // not there: the question was whether it is
  }
});

const source = path.resolve(import.meta.dirname, "../../../test/arch/run-instruction.c");

/** Runs code on the processor, one after the other, each from its own registers and the same memory. */
export function runAll(runs: readonly Run[]): Outcome[] {
  const folder = mkdtempSync(path.join(tmpdir(), "trapline-arch-"));
  try {
    const binary = path.join(folder, "run");
    execFileSync(compiler as string, ["-O1", "-o", binary, source]);
    const cases = path.join(folder, "cases");
    const results = path.join(folder, "results");
    writeFileSync(cases, encode(runs));
    execFileSync(binary, [cases, results], { stdio: ["ignore", "ignore", "inherit"] });
    return decode(new Uint8Array(readFileSync(results)), runs.length);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function encode(runs: readonly Run[]): Uint8Array {
  const lengths = runs.map(({ memory }) => CASE_LENGTH + (memory === undefined ? 0 : MEMORY_LENGTH));
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  const view = new DataView(bytes.buffer);
  let start = 0;
  runs.forEach((run, index) => {
    if (run.code.length > CASE_CODE) throw new Error(`${String(run.code.length)} bytes of code`);
    view.setBigUint64(start, BigInt(run.codeAt), true);
    view.setUint32(start + 8, run.code.length, true);
    view.setUint32(start + 12, run.steps ?? 0, true);
    view.setBigUint64(start + 16, BigInt(run.other?.at ?? run.codeAt), true);
    view.setUint32(start + 24, run.other?.code.length ?? 0, true);
    view.setUint32(start + 28, run.memory === undefined ? 0 : 1, true);
    bytes.set(run.code, start + CASE_HEADER);
    if (run.other !== undefined) bytes.set(run.other.code, start + CASE_HEADER + CASE_CODE);
    bytes.set(run.registers.bytes, start + CASE_HEADER + CASE_CODE + CASE_OTHER);
    if (run.memory !== undefined) bytes.set(run.memory, start + CASE_LENGTH);
    start += lengths[index] as number; // one for each
  });
  return bytes;
}

function decode(bytes: Uint8Array, count: number): Outcome[] {
  if (bytes.length !== count * RESULT_LENGTH) throw new Error(`${String(bytes.length)} bytes of results`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: count }, (_, index) => {
    const start = index * RESULT_LENGTH;
    const registers = new RegisterFile();
    const newProcess = new RegisterFile();
    const registersAt = start + 24;
    const newProcessAt = registersAt + REGISTER_BYTES;
    const wordsAt = newProcessAt + REGISTER_BYTES;
    const memoryAt = wordsAt + 16;
    registers.bytes.set(bytes.subarray(registersAt, newProcessAt));
    newProcess.bytes.set(bytes.subarray(newProcessAt, wordsAt));
    return {
      signal: view.getInt32(start, true),
      code: view.getInt32(start + 4, true),
      address: view.getBigUint64(start + 8, true),
      vectors: view.getBigUint64(start + 16, true),
      registers,
      newProcess,
      words: [view.getBigUint64(wordsAt, true), view.getBigUint64(wordsAt + 8, true)],
      memory: bytes.slice(memoryAt, start + RESULT_LENGTH),
    };
  });
}

/** The memory of the child as a case finds it. */
export function freshMemory(): Uint8Array {
  const memory = new Uint8Array(MEMORY_LENGTH).map((_, index) => (index * 7 + (index >> 8)) & 0xff);
  const view = new DataView(memory.buffer);
  view.setBigUint64(0x100, BigInt(CODE + 0x200), true);
  view.setBigUint64(4096 + 0x800, BigInt(CODE + 0x200), true);
  return memory;
}

/** That memory as the emulation sees it. */
export class ModelMemory {
  constructor(readonly bytes: Uint8Array = freshMemory()) {}

  read(at: Address, into: Uint8Array): void {
    const offset = this.offset(at, into.length, "read");
    into.set(this.bytes.subarray(offset, offset + into.length));
  }

  write(at: Address, bytes: Uint8Array): void {
    this.bytes.set(bytes, this.offset(at, bytes.length, "write"));
  }

  private offset(at: Address, length: number, access: "read" | "write"): number {
    const offset = at - DATA;
    if (offset < 0 || offset + length > MEMORY_LENGTH) throw new MemoryFault(BigInt(at), access, "unmapped");
    return offset;
  }
}

export function registerFile(values: Partial<Record<RegisterName, bigint>>): RegisterFile {
  const registers = new RegisterFile();
  for (const name of REGISTERS) registers.write(name, values[name] ?? 0n);
  return registers;
}

/** What decides branches and repetitions; the stack pointer in the middle of the stack page, unless told. */
export interface StartingState {
  readonly flags: bigint;
  readonly rcx: bigint;
  readonly rax: bigint;
  readonly rsp?: bigint;
}

/** Registers to begin with: pointers into the pages that there are, and numbers that are easily recognised. */
export function startingRegisters(state: StartingState, pc: Address): RegisterFile {
  return registerFile({
    rax: state.rax,
    rbx: BigInt(DATA + 0x400),
    rcx: state.rcx,
    rdx: 0n,
    rsi: BigInt(DATA + 0x200),
    rdi: BigInt(DATA + 0x600),
    rsp: state.rsp ?? BigInt(STACK + 0x800),
    rbp: BigInt(STACK + 0x900),
    r8: 0x8888_8888_8888n,
    r9: 0n,
    r10: 0x1010n,
    r11: 0x2bn, // the selector of a user's stack segment
    r12: BigInt(CODE + 0x400),
    r13: 0x1000n,
    r14: BigInt(CODE + 0x300),
    r15: 0x8000_0000_0000_1234n,
    eflags: state.flags,
    fs_base: BigInt(DATA),
    gs_base: BigInt(DATA),
    rip: BigInt(pc),
    cs: 0x33n,
  });
}

/** `rax=1 rip=2`, of those that differ. */
export function differences(one: RegisterFile, other: RegisterFile): string {
  return REGISTERS.filter((name) => one.read(name) !== other.read(name))
    .map((name) => `${name}: ${one.read(name).toString(16)} / ${other.read(name).toString(16)}`)
    .join(", ");
}

export function addressIn(value: bigint): Address {
  const address = addressOf(value);
  if (address === undefined) throw new Error(`0x${value.toString(16)} is not canonical`);
  return address;
}

/** Assembles lines, each by itself; offsets of branches are relative to their own start. */
export function assemble(lines: readonly string[]): Uint8Array[] {
  const folder = mkdtempSync(path.join(tmpdir(), "trapline-as-"));
  try {
    const text = lines
      .map((line) => `1: ${line}\n2: .pushsection .lengths,"a"\n.long 2b-1b\n.popsection`)
      .join("\n");
    const file = path.join(folder, "all.s");
    writeFileSync(file, `.intel_syntax noprefix\n.text\n${text}\n`);
    execFileSync(compiler as string, ["-c", "-o", path.join(folder, "all.o"), file], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const section = (name: string): Buffer => {
      const out = path.join(folder, "section");
      execFileSync("objcopy", ["-O", "binary", "-j", name, path.join(folder, "all.o"), out]);
      return readFileSync(out);
    };
    const code = section(".text");
    const lengths = section(".lengths");
    let at = 0;
    return lines.map((_, index) => {
      const length = lengths.readUInt32LE(4 * index);
      at += length;
      return Uint8Array.from(code.subarray(at - length, at));
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
