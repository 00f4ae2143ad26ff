import type { Address } from "../../../../src/base/address.js";

/** Bytes of a page. */
const PAGE = 4096;

/** A register of the machine, in the order of its description. */
export interface MachineRegister {
  readonly name: string;
  readonly bits: number;
}

const wide = (...names: string[]): MachineRegister[] => names.map((name) => ({ name, bits: 64 }));
const narrow = (...names: string[]): MachineRegister[] => names.map((name) => ({ name, bits: 32 }));

// prettier-ignore
export const MACHINE_REGISTERS: readonly MachineRegister[] = [
  ...wide("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
  ...wide("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
  ...narrow("eflags", "cs", "ss", "ds", "es", "fs", "gs"),
];

export interface MachineThread {
  readonly process: number;
  readonly thread: number;
  readonly registers: Map<string, bigint>;
}

/** What a stub stands for: memory with holes, some threads. Nothing in it is left to chance. */
export class Machine {
  readonly pages = new Map<number, Uint8Array>();
  readonly threads: MachineThread[] = [];
  readonly breakpoints = new Set<string>();
  /** Whose stop was told last. */
  stopped = 0;
  steps = 0;

  constructor(threads = 3) {
    // Two pages, a hole, one page: in the lower half, and again in the upper.
    for (const base of [0x40_0000, -0x7f00_0000]) {
      for (const page of [0, 1, 3]) {
        const bytes = new Uint8Array(PAGE);
        for (let index = 0; index < PAGE; index++)
          bytes[index] = (index * 7 + page * 31 + (index >> 8)) & 0xff;
        this.pages.set((base + page * PAGE) / PAGE, bytes);
      }
    }
    for (let thread = 1; thread <= threads; thread++) {
      const registers = new Map<string, bigint>();
      for (const [index, { name, bits }] of MACHINE_REGISTERS.entries())
        registers.set(
          name,
          BigInt.asUintN(bits, BigInt(index + 1) * 0x1111_2222_3333_4401n * BigInt(thread)),
        );
      registers.set("rip", BigInt(0x40_0000 + 16 * thread));
      this.threads.push({ process: 0x1a, thread: 0x1a + thread, registers });
    }
  }

  /** @returns how much of it is there */
  read(at: Address | number, length: number): Uint8Array {
    const bytes: number[] = [];
    for (let index = 0; index < length; index++) {
      const byte = this.pages.get(Math.floor((at + index) / PAGE))?.[(((at + index) % PAGE) + PAGE) % PAGE];
      if (byte === undefined) break;
      bytes.push(byte);
    }
    return Uint8Array.from(bytes);
  }

  /** All or nothing. */
  write(at: Address | number, bytes: Uint8Array): boolean {
    if (this.read(at, bytes.length).length < bytes.length) return false;
    for (const [index, byte] of bytes.entries()) {
      const page = this.pages.get(Math.floor((at + index) / PAGE));
      if (page !== undefined) page[(((at + index) % PAGE) + PAGE) % PAGE] = byte;
    }
    return true;
  }

  /** One instruction of one byte. */
  step(thread: MachineThread): void {
    thread.registers.set("rip", BigInt.asUintN(64, (thread.registers.get("rip") ?? 0n) + 1n));
    this.steps++;
  }
}
