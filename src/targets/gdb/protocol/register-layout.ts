import {
  REGISTERS,
  type RegisterFile,
  registerIndex,
  type RegisterName,
} from "../../../arch/x86_64/registers.js";
import { TargetError } from "../../../base/errors.js";
import { decodeHex } from "./hex.js";
import type { TargetDescription } from "./target-description.js";

/** Where a register is. */
export interface LaidOutRegister {
  readonly name: string;
  /** For `p` and `P`. */
  readonly number: number;
  /** In what `g` answers, bytes. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

type Row = readonly [name: string, bits: number];

const wide = (...names: string[]): Row[] => names.map((name) => [name, 64]);
const narrow = (...names: string[]): Row[] => names.map((name) => [name, 32]);

/**
 * What stubs without a description of their own have, KGDB above all: gdb's own order for x86-64 without
 * floating-point registers. The kernel has the same in `dbg_reg_def` of arch/x86/kernel/kgdb.c; what is
 * missing at the end of an answer is not there.
 */
// prettier-ignore
const PLAIN: readonly Row[] = [
  ...wide("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
  ...wide("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
  ...narrow("eflags", "cs", "ss", "ds", "es", "fs", "gs"),
];

const ARCHITECTURE = "i386:x86-64";
/** Without these there is no thread to speak of. */
const NEEDED: readonly RegisterName[] = ["rip", "rsp", "rax", "eflags"];

interface CoreRegister {
  /** In {@link RegisterFile.bytes}. */
  readonly to: number;
  readonly offset: number;
  readonly size: number;
  readonly number: number;
}

/** The stub's registers: their numbers, and their places in what `g` answers. */
export class RegisterLayout {
  /** Bytes of a whole answer to `g`. */
  readonly size: number;
  private readonly byName = new Map<string, LaidOutRegister>();
  private readonly core: CoreRegister[] = [];
  private readonly needed: number;

  private constructor(registers: readonly LaidOutRegister[]) {
    this.size = registers.reduce((end, { offset, size }) => Math.max(end, offset + size), 0);
    for (const register of registers) this.byName.set(register.name, register);
    for (const name of REGISTERS) {
      const register = this.byName.get(name);
      // A RegisterFile has 64 bits for each.
      if (register !== undefined && register.size <= 8)
        this.core.push({ ...register, to: 8 * registerIndex(name) });
    }
    this.needed = Math.max(
      ...NEEDED.map((name) => {
        const register = this.byName.get(name);
        return register === undefined ? 0 : register.offset + register.size;
      }),
    );
  }

  /** @throws TargetError it is not x86-64 */
  static fromDescription(description: TargetDescription, stub: string): RegisterLayout {
    const { architecture, registers } = description;
    if (architecture !== undefined && architecture !== ARCHITECTURE)
      throw new TargetError(
        `${stub}: the stub's target is ${architecture.slice(0, 40)}, and only x86-64 (${ARCHITECTURE}) can be traced`,
      );
    // A description may say nothing but the architecture.
    if (registers.length === 0) return RegisterLayout.plain();
    let offset = 0;
    const laidOut = registers.map(({ name, number, bits }) => {
      const size = Math.ceil(bits / 8);
      const register = { name, number, offset, size };
      offset += size;
      return register;
    });
    const layout = new RegisterLayout(laidOut);
    const missing = NEEDED.filter((name) => layout.find(name) === undefined);
    if (missing.length > 0)
      throw new TargetError(`${stub}: the stub's target has no ${missing.join(", no ")}: it is not x86-64`);
    return layout;
  }

  /** For stubs that do not describe themselves. */
  static plain(): RegisterLayout {
    let offset = 0;
    return new RegisterLayout(
      PLAIN.map(([name, bits], number) => {
        const register = { name, number, offset, size: bits / 8 };
        offset += register.size;
        return register;
      }),
    );
  }

  /** `rax`, `cr3`, `k_gs_base`, `xmm0`. @returns undefined where the stub has no such register */
  find(name: string): LaidOutRegister | undefined {
    return this.byName.get(name);
  }

  names(): Iterable<string> {
    return this.byName.keys();
  }

  /**
   * Fills a register file from the bytes of an answer to `g`; registers that are not there become 0.
   *
   * @returns whether there were enough bytes for what every thread has
   */
  decode(bytes: Uint8Array, length: number, into: RegisterFile): boolean {
    into.bytes.fill(0);
    into.dirty = false;
    if (length < this.needed) return false;
    for (const { to, offset, size } of this.core) {
      if (offset + size > length) continue;
      for (let index = 0; index < size; index++) into.bytes[to + index] = bytes[offset + index] as number; // below the length
    }
    return true;
  }

  /** Puts a register file into such bytes. @returns the numbers of the registers that changed */
  encode(from: RegisterFile, bytes: Uint8Array, length: number, changed: LaidOutRegister[]): void {
    changed.length = 0;
    for (const register of this.core) {
      const { to, offset, size } = register;
      if (offset + size > length) continue;
      let differs = false;
      for (let index = 0; index < size; index++) {
        const byte = from.bytes[to + index] as number; // 8 bytes each
        if (bytes[offset + index] === byte) continue;
        bytes[offset + index] = byte;
        differs = true;
      }
      if (differs) changed.push({ name: "", number: register.number, offset, size });
    }
  }
}

/**
 * Decodes an answer to `g`. A register that the stub does not have at the moment is `xxxx`, and 0 here.
 *
 * @returns bytes; -1 where it is no answer to `g`
 */
export function decodeRegisters(reply: Uint8Array, length: number, into: Uint8Array): number {
  const X = 0x78;
  if (length % 2 !== 0 || length / 2 > into.length) return -1;
  let at = 0;
  while (at < length) {
    if (reply[at] === X && reply[at + 1] === X) {
      into[at / 2] = 0;
      at += 2;
      continue;
    }
    const decoded = decodeHex(reply, at, length, into, at / 2);
    if (decoded === 0) return -1;
    at += 2 * decoded;
  }
  return length / 2;
}
