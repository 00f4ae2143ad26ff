import { type Address, offsetBy, toBigInt } from "../../base/address.js";

/** `int3`: the breakpoint instruction. */
export const INT3 = 0xcc;

const NEAR_JUMP_LENGTH = 5;

/** Whether a signed 32-bit displacement holds `distance`. */
export function reaches(distance: number): boolean {
  return distance >= -0x8000_0000 && distance <= 0x7fff_ffff;
}

/** Writes the low 32 bits of `value` at `offset`, little endian. */
export function putInt32(bytes: Uint8Array | number[], offset: number, value: number): void {
  for (let index = 0; index < 4; index++) bytes[offset + index] = (value >>> (8 * index)) & 0xff;
}

/** A few instructions, assembled for the one address they will run at. */
export class MachineCode {
  private readonly code: number[] = [];

  /** @param start where the first byte will be */
  constructor(readonly start: Address) {}

  /** Offset of the next byte from {@link start}. */
  get length(): number {
    return this.code.length;
  }

  /** Address of the next byte. */
  get here(): Address {
    return offsetBy(this.start, this.code.length);
  }

  bytes(...values: readonly number[]): void {
    this.code.push(...values);
  }

  append(bytes: Uint8Array): void {
    for (const byte of bytes) this.code.push(byte);
  }

  /** `jmp`, to any address, changing no register and no flag. */
  jump(to: Address): void {
    const distance = to - this.here - NEAR_JUMP_LENGTH;
    if (reaches(distance)) {
      this.bytes(0xe9);
      this.int32(distance);
    } else {
      this.bytes(0xff, 0x25); // jmp [rip+rel32]
      this.literal(to);
    }
  }

  /** The rip-relative displacement that ends an instruction, and right behind it the 8 bytes that it means. */
  private literal(value: Address): void {
    const field = this.code.length;
    this.int32(0);
    const behind = this.code.length;
    this.align();
    this.patchInt32(field, this.code.length - behind);
    this.int64(toBigInt(value));
  }

  /** On to the next multiple of 8: a program may have misaligned loads trapped (EFLAGS.AC), ours too. */
  align(): void {
    while (this.here % 8 !== 0) this.bytes(INT3);
  }

  int32(value: number): void {
    const offset = this.code.length;
    putInt32(this.code, offset, value);
  }

  int64(value: bigint): void {
    for (let shift = 0n; shift < 64n; shift += 8n) this.code.push(Number((value >> shift) & 0xffn));
  }

  /** Overwrites a 32-bit field that was emitted before what it refers to. */
  patchInt32(offset: number, value: number): void {
    putInt32(this.code, offset, value);
  }

  /** As {@link patchInt32}, for the displacement of a short branch. */
  patchInt8(offset: number, value: number): void {
    this.code[offset] = value & 0xff;
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.code);
  }
}
