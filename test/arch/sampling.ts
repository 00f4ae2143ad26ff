import { existsSync, readdirSync } from "node:fs";
import { Decoder, DecoderOptions, Instruction, Register } from "iced-x86";
import type { Address } from "../../src/base/address.js";
import type { RegisterFile } from "../../src/arch/x86_64/registers.js";
import { DATA, registerFile, STACK } from "./processor.js";
import { libcPath, type Text, textSection } from "./text-section.js";

/** Their results differ from one time to the next. */
export const UNREPEATABLE: ReadonlySet<string> = new Set([
  "rdtsc",
  "rdtscp",
  "rdrand",
  "rdseed",
  "cpuid",
  "rdpid",
  "rdpmc",
  "xbegin",
]);

/** Random numbers that come again with the same seed. */
export function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Programs and libraries of many kinds, of those that are there. */
export function programs(): string[] {
  const libraries = "/usr/lib/x86_64-linux-gnu";
  const cpp = existsSync(libraries)
    ? readdirSync(libraries).find((name) => /^libstdc\+\+\.so\.6\.\d/.test(name))
    : undefined;
  const files = ["/usr/bin/perl", "/usr/bin/python3", "/usr/bin/git", "/usr/bin/sqlite3", process.execPath];
  if (cpp !== undefined) files.push(`${libraries}/${cpp}`);
  return [libcPath(), ...files.filter((file) => existsSync(file))];
}

/** An instruction as it stands in a program. */
export interface Sample {
  /** The decoder's number of its form. */
  readonly form: number;
  readonly offset: number;
  readonly length: number;
}

/** The first instructions of a text, one behind the other; what does not decode is left out. */
export function* instructionsOf(text: Text, most = Infinity): Generator<Sample> {
  const instruction = new Instruction();
  const decoder = new Decoder(
    64,
    text.bytes.subarray(0, Math.min(most, text.bytes.length)),
    DecoderOptions.None,
  );
  try {
    while (decoder.canDecode) {
      const offset = decoder.position;
      decoder.decodeOut(instruction);
      if (!instruction.isInvalid) yield { form: instruction.code, offset, length: instruction.length };
    }
  } finally {
    decoder.free();
    instruction.free();
  }
}

/** A copy of an instruction to stand at `at`; what it refers to is `data`, whatever it was in its program. */
export function referringTo(data: number, bytes: Uint8Array, at: number): Uint8Array {
  const one = bytes.slice();
  const instruction = new Instruction();
  const decoder = new Decoder(64, one, DecoderOptions.None);
  try {
    decoder.decodeOut(instruction);
    if (instruction.memoryBase === Register.RIP) {
      const offsets = decoder.getConstantOffsets(instruction);
      new DataView(one.buffer).setInt32(offsets.displacementOffset, data - (at + one.length), true);
      offsets.free();
    }
    return one;
  } finally {
    decoder.free();
    instruction.free();
  }
}

/** Some of each form of instruction that real programs contain. */
export function samplesOfEachForm(files: readonly string[], perForm: number, most = Infinity): Uint8Array[] {
  const seen = new Map<number, number>();
  const found: Uint8Array[] = [];
  for (const file of files) {
    const text: Text = textSection(file);
    for (const { form, offset, length } of instructionsOf(text, most)) {
      const count = seen.get(form) ?? 0;
      if (count >= perForm) continue;
      seen.set(form, count + 1);
      found.push(text.bytes.slice(offset, offset + length));
    }
  }
  return found;
}

/** Most of them point into the data page. @param small not all of them to aligned words */
export function registersAt(random: (below: number) => number, pc: Address, small: boolean): RegisterFile {
  const value = (): bigint =>
    random(4) === 0
      ? BigInt(random(0x40))
      : BigInt(DATA + 0x400 + 8 * random(0x40)) + (small ? BigInt(random(8)) : 0n);
  // prettier-ignore
  return registerFile({
    rax: value(), rbx: value(), rdx: value(), rsi: value(), rdi: value(), r8: value(), r9: value(), r10: value(),
    r11: value(), r12: value(), r13: value(), r14: value(), r15: value(),
    rcx: BigInt(random(12)),
    rbp: BigInt(STACK + 0x900),
    rsp: BigInt(STACK + 0x800),
    eflags: 0x202n | BigInt(random(0x1000) & 0xcd5),
    fs_base: BigInt(DATA),
    gs_base: BigInt(DATA + 0x100),
    rip: BigInt(pc),
    cs: 0x33n,
  });
}
