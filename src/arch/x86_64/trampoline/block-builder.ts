import { type Address, offsetBy, toBigInt } from "../../../base/address.js";
import type { EmulationMemory } from "../emulate.js";
import { INT3, MachineCode, reaches } from "../machine-code.js";
import type { RegisterFile } from "../registers.js";
import type { OriginalFault, TrampolinePoint } from "./points.js";

const LITERAL = 8;

/**
 * Assembles a trampoline: straight code, then ways out that it branches to, then the words that it reads, and
 * the meaning of each address beside it.
 */
export class BlockBuilder {
  readonly code: MachineCode;
  readonly points: TrampolinePoint[] = [];
  handlerRan = false;
  private trap: Address | undefined;
  private readonly literals: { readonly field: number; readonly value: Address }[] = [];
  private readonly thunks: { readonly field: number; readonly to: Address; readonly handlerRan: boolean }[] =
    [];

  /** @param isFar takes everything for out of reach: no code is longer than what then comes out */
  constructor(
    start: Address,
    readonly isFar = false,
  ) {
    this.code = new MachineCode(start);
  }

  /** The next byte to come: the instruction at `at` is still to be run, and what faults here is it. */
  before(at: Address): void {
    this.point("before", at, { at, pushed: 0 });
  }

  /** As {@link before}, where our code stands: it raises nothing. */
  ahead(at: Address): void {
    this.point("before", at, undefined);
  }

  /** The next byte to come: the instruction is done, the thread is at `at`. */
  after(at: Address): void {
    this.point("after", at, undefined);
  }

  /** The next byte to come: some of the instruction is done; `finish` does the rest, program counter included. */
  unfinished(
    finish: (registers: RegisterFile, memory: EmulationMemory) => void,
    fault: OriginalFault | undefined,
  ): void {
    const { handlerRan, trap } = this;
    this.trap = undefined;
    this.points.push({ kind: "unfinished", offset: this.code.length, finish, handlerRan, fault, trap });
  }

  /** The instruction at `at` has just been emitted, and a trap that it raises comes with the next point. */
  behindTrap(at: Address): void {
    this.trap = at;
  }

  /** `jmp`, to any address. */
  jump(to: Address): void {
    const NEAR_JUMP_LENGTH = 5;
    if (!this.isFar && reaches(to - this.code.here - NEAR_JUMP_LENGTH)) {
      this.code.jump(to);
      return;
    }
    this.code.bytes(0xff, 0x25); // jmp [rip+rel32]
    this.literal(to);
  }

  /** The displacement that ends a branch to any address. */
  branchField(to: Address): void {
    const field = this.code.length;
    this.code.int32(0);
    const distance = to - this.code.here;
    if (!this.isFar && reaches(distance)) this.code.patchInt32(field, distance);
    else this.thunks.push({ field, to, handlerRan: this.handlerRan });
  }

  /** The displacement that ends an instruction, of a word somewhere behind that holds `value`. */
  literal(value: Address): void {
    this.literals.push({ field: this.code.length, value });
    this.code.int32(0);
  }

  /** @returns all of it */
  finish(): Uint8Array {
    const { code } = this;
    for (const { field, to, handlerRan } of this.thunks) {
      code.bytes(INT3); // behind a trap of the program's own must not be where another way comes in
      code.patchInt32(field, code.length - (field + 4));
      this.handlerRan = handlerRan;
      this.after(to);
      this.jump(to);
    }
    if (this.literals.length > 0) this.pool();
    return code.finish();
  }

  /** @returns bytes that no trampoline exceeds, wherever it begins */
  measure(): number {
    const length = this.finish().length;
    return this.literals.length === 0 ? length : length + LITERAL - 1;
  }

  private pool(): void {
    const { code } = this;
    const known = new Map<Address, number>();
    code.align();
    for (const { field, value } of this.literals) {
      let offset = known.get(value);
      if (offset === undefined) {
        offset = code.length;
        known.set(value, offset);
        code.int64(toBigInt(value));
      }
      code.patchInt32(field, offset - (field + 4));
    }
  }

  private point(kind: "before" | "after", at: Address, fault: OriginalFault | undefined): void {
    const { handlerRan, trap } = this;
    this.trap = undefined;
    this.points.push({ kind, offset: this.code.length, at, handlerRan, fault, trap });
  }
}

/** As deep as a program may keep data below its stack pointer. System V ABI, AMD64 supplement, 3.2.2. */
const RED_ZONE = 128;

/** Below the red zone and back, touching no flag; between them `length` bytes for the handler of a probe at `at`. */
export function handlerRoom(
  build: BlockBuilder,
  at: Address,
  length: number,
): { start: number; end: number } {
  const { code } = build;
  build.ahead(at);
  code.bytes(0x48, 0x8d, 0x64, 0x24, 0x80); // lea rsp, [rsp-128]
  const start = code.length;
  for (let index = 0; index < length; index++) code.bytes(INT3);
  const end = code.length;
  build.handlerRan = true;
  build.unfinished((registers) => {
    registers.sp = offsetBy(registers.sp, RED_ZONE);
    registers.pc = at;
  }, undefined);
  code.bytes(0x48, 0x8d, 0xa4, 0x24, RED_ZONE, 0, 0, 0); // lea rsp, [rsp+128]
  return { start, end };
}
