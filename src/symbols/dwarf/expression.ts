import type { Formula, FormulaOperator, Location, Piece } from "../types/location.js";
import type { Vaddr } from "../vaddr.js";
import { Cursor } from "./cursor.js";
import { OPERATION, REGISTERS } from "./facts.js";
import { bits, constant, operation, partsOf } from "./formulas.js";

const OP = OPERATION;
/** More than any compiler writes. */
const MOST_OPERATIONS = 1000;
const MOST_DEEP = 64;
const MOST_PARTS = 200;
const WORD = 8;

/** What an expression may ask of what is around it. */
export interface ExpressionContext {
  readonly wide: boolean;
  /** Where the function's variables are counted from. @returns undefined where that is not known */
  frameBase(): Formula | undefined;
  /** The stack pointer before the call of the function. @returns undefined where that is not known */
  callFrame(): Formula | undefined;
  /** An address of the unit's table. */
  addressAt(index: number): Vaddr;
  /** A base type by its offset in the unit; undefined where it is none. */
  baseType(
    offset: number,
  ): { readonly size: number; readonly signed: boolean; readonly isFloat: boolean } | undefined;
}

/** What an expression says cannot be had. */
class Nowhere extends Error {}

/**
 * What a location expression comes to: a formula over registers and memory, so that it is worked out where a
 * probe is hit, and nothing of DWARF is needed then. DWARF 5, 2.5 and 2.6.
 *
 * @throws TargetError damaged
 */
export function locationOf(bytes: Buffer, what: string, at: number, context: ExpressionContext): Location {
  if (bytes.length === 0) return { kind: "absent", why: "the compiler has optimised it out" };
  const machine = new Machine(new Cursor(bytes, what, at), context);
  try {
    return machine.run();
  } catch (error) {
    if (error instanceof Nowhere) return { kind: "absent", why: error.message };
    throw error;
  }
}

/** The number that an expression comes to, as one that says where a frame begins. @throws TargetError damaged */
export function valueOf(
  bytes: Buffer,
  what: string,
  at: number,
  context: ExpressionContext,
): Formula | undefined {
  const location = locationOf(bytes, what, at, context);
  if (location.kind === "memory") return location.address;
  return location.kind === "value" ? location.value : undefined;
}

/** Constant bytes, as `DW_AT_const_value` has them too. */
export function constantBytes(bytes: Buffer): Location {
  if (bytes.length <= WORD) return { kind: "value", value: constant(littleEndian(bytes)) };
  const pieces: Piece[] = [];
  for (let at = 0; at < bytes.length; at += WORD) {
    const part = bytes.subarray(at, at + WORD);
    pieces.push({ bytes: part.length, location: { kind: "value", value: constant(littleEndian(part)) } });
  }
  return { kind: "pieces", pieces };
}

function littleEndian(bytes: Buffer): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

const BINARY: Readonly<Record<number, FormulaOperator>> = {
  [OP.and]: "&",
  [OP.div]: "/",
  [OP.minus]: "-",
  [OP.mul]: "*",
  [OP.or]: "|",
  [OP.plus]: "+",
  [OP.shl]: "<<",
  [OP.shr]: ">>>",
  [OP.shra]: ">>",
  [OP.xor]: "^",
  [OP.eq]: "==",
  [OP.ge]: ">=",
  [OP.gt]: ">",
  [OP.le]: "<=",
  [OP.lt]: "<",
  [OP.ne]: "!=",
};

class Machine {
  private readonly stack: Formula[] = [];
  /** What was said of the part under way, beside the stack. */
  private direct: Exclude<Location, { kind: "pieces" }> | undefined;
  private readonly pieces: Piece[] = [];

  constructor(
    private readonly cursor: Cursor,
    private readonly context: ExpressionContext,
  ) {}

  run(): Location {
    const { cursor } = this;
    for (let count = 0; !cursor.isAtEnd; count += 1) {
      if (count >= MOST_OPERATIONS) throw cursor.damaged("an expression has no end");
      this.step(cursor.u8());
    }
    if (this.pieces.length > 0) return { kind: "pieces", pieces: this.pieces };
    return this.direct ?? { kind: "memory", address: this.pop() };
  }

  private step(op: number): void {
    const { cursor, context } = this;
    if (op >= OP.lit0 && op <= OP.lit31) return this.push(constant(BigInt(op - OP.lit0)));
    if (op >= OP.reg0 && op <= OP.reg31) return this.say(registerAt(op - OP.reg0));
    if (op >= OP.breg0 && op <= OP.breg31)
      return this.push(operation("+", registerAt(op - OP.breg0), constant(cursor.bigSleb())));
    const binary = BINARY[op];
    if (binary !== undefined) {
      const right = this.pop();
      return this.push(operation(binary, this.pop(), right));
    }
    switch (op) {
      case OP.nop:
      case OP.gnuUninit:
        return;
      case OP.addr:
        return this.push({ kind: "image-address", vaddr: cursor.vaddr() });
      case OP.addrx:
        return this.push({ kind: "image-address", vaddr: context.addressAt(cursor.uleb()) });
      case OP.constx:
        return this.push(constant(BigInt(context.addressAt(cursor.uleb()))));
      case OP.regx:
        return this.say(registerAt(cursor.uleb()));
      case OP.bregx: {
        const register = registerAt(cursor.uleb());
        return this.push(operation("+", register, constant(cursor.bigSleb())));
      }
      case OP.fbreg: {
        const offset = constant(cursor.bigSleb());
        const base = context.frameBase();
        if (base === undefined) throw new Nowhere("where its stack frame begins is not known there");
        return this.push(operation("+", base, offset));
      }
      case OP.callFrameCfa: {
        const frame = context.callFrame();
        if (frame === undefined) throw new Nowhere("where its stack frame begins is not known there");
        return this.push(frame);
      }
      case OP.deref:
        return this.load(WORD);
      case OP.derefSize:
        return this.load(cursor.u8());
      case OP.implicitValue: {
        const location = constantBytes(cursor.take(cursor.uleb()));
        if (location.kind !== "pieces") return this.settle(location);
        this.pieces.push(...location.pieces);
        return;
      }
      case OP.stackValue:
        return this.settle({ kind: "value", value: this.pop() });
      case OP.piece:
        return this.piece(cursor.uleb());
      case OP.bitPiece: {
        const width = cursor.uleb();
        if (cursor.uleb() !== 0 || width % 8 !== 0) throw new Nowhere("it lies in parts of bytes");
        return this.piece(width / 8);
      }
      case OP.entryValue:
      case OP.gnuEntryValue:
        cursor.skip(cursor.uleb());
        throw new Nowhere("all that is left of it is what a register held when the function was entered");
      case OP.implicitPointer:
      case OP.gnuImplicitPointer:
        throw new Nowhere("it points to a variable that the compiler has optimised out");
      case OP.gnuParameterRef:
        cursor.skip(4);
        throw new Nowhere("it comes of an argument that only the caller knows");
      case OP.bra:
      case OP.skip:
        return this.jump(op);
      default:
        if (!this.arrange(op) && !this.typed(op) && !this.number(op)) this.unknown(op);
    }
  }

  /** Operations that move what is on the stack. @returns is it one? */
  private arrange(op: number): boolean {
    switch (op) {
      case OP.dup:
        this.push(this.peek(0));
        return true;
      case OP.over:
        this.push(this.peek(1));
        return true;
      case OP.pick:
        this.push(this.peek(this.cursor.u8()));
        return true;
      case OP.drop:
        this.pop();
        return true;
      case OP.swap: {
        const top = this.pop();
        const below = this.pop();
        this.push(top);
        this.push(below);
        return true;
      }
      case OP.rot: {
        const top = this.pop();
        const second = this.pop();
        const third = this.pop();
        this.push(top);
        this.push(third);
        this.push(second);
        return true;
      }
      case OP.neg:
        this.push(operation("-", constant(0n), this.pop()));
        return true;
      case OP.not:
        this.push(operation("^", this.pop(), constant(-1n)));
        return true;
      case OP.plusUconst:
        this.push(operation("+", this.pop(), constant(this.cursor.bigUleb())));
        return true;
      default:
        return false;
    }
  }

  /** Operations on numbers of a type of the program. @returns is it one? */
  private typed(op: number): boolean {
    const { cursor } = this;
    switch (op) {
      case OP.regvalType:
      case OP.gnuRegvalType: {
        const register = registerAt(cursor.uleb());
        const type = this.integer(cursor.uleb());
        this.push(bits(register, 8 * type.size, type.signed));
        return true;
      }
      case OP.constType:
      case OP.gnuConstType: {
        const type = this.integer(cursor.uleb());
        const value = constant(littleEndian(cursor.take(cursor.u8())));
        this.push(bits(value, 8 * type.size, type.signed));
        return true;
      }
      case OP.derefType:
      case OP.gnuDerefType: {
        const size = cursor.u8();
        const type = this.integer(cursor.uleb());
        this.load(size);
        this.push(bits(this.pop(), 8 * Math.min(size, type.size), type.signed));
        return true;
      }
      case OP.convert:
      case OP.gnuConvert:
      case OP.reinterpret:
      case OP.gnuReinterpret: {
        const offset = cursor.uleb();
        // 0 is a word without a type.
        if (offset === 0) return true;
        const type = this.integer(offset);
        this.push(bits(this.pop(), 8 * type.size, type.signed));
        return true;
      }
      default:
        return false;
    }
  }

  /** @returns is it a constant? */
  private number(op: number): boolean {
    const { cursor } = this;
    switch (op) {
      case OP.const1u:
        this.push(constant(BigInt(cursor.u8())));
        return true;
      case OP.const1s:
        this.push(constant(BigInt(cursor.i8())));
        return true;
      case OP.const2u:
        this.push(constant(BigInt(cursor.u16())));
        return true;
      case OP.const2s:
        this.push(constant(BigInt(cursor.i16())));
        return true;
      case OP.const4u:
        this.push(constant(BigInt(cursor.u32())));
        return true;
      case OP.const4s:
        this.push(constant(BigInt(cursor.i32())));
        return true;
      case OP.const8u:
      case OP.const8s:
        this.push(constant(cursor.big64()));
        return true;
      case OP.constu:
        this.push(constant(cursor.bigUleb()));
        return true;
      case OP.consts:
        this.push(constant(cursor.bigSleb()));
        return true;
      default:
        return false;
    }
  }

  private unknown(op: number): never {
    throw new Nowhere(`where it is says an operation that cannot be followed (0x${op.toString(16)})`);
  }

  /** Only what is known before the program runs can be decided here. */
  private jump(op: number): void {
    const distance = this.cursor.i16();
    if (op === OP.bra) {
      const condition = this.pop();
      if (condition.kind !== "constant")
        throw new Nowhere("where it is depends on what the program computes");
      if (condition.value === 0n) return;
    }
    const to = this.cursor.at + distance;
    if (to < 0 || to > this.cursor.end) throw this.cursor.damaged("an expression goes on outside of itself");
    this.cursor.at = to;
  }

  private integer(offset: number): { readonly size: number; readonly signed: boolean } {
    const type = this.context.baseType(offset);
    if (type === undefined || type.isFloat || !(type.size >= 1 && type.size <= WORD))
      throw new Nowhere("it is computed from numbers that are no integers of up to 8 bytes");
    return type;
  }

  private load(bytes: number): void {
    const address = this.pop();
    if (bytes !== 1 && bytes !== 2 && bytes !== 4 && bytes !== WORD)
      throw new Nowhere(`it is computed from ${bytes} bytes of memory at once`);
    this.push({ kind: "load", address, bytes });
  }

  /** A register that holds the value itself. */
  private say(register: Formula): void {
    this.settle({ kind: "value", value: register });
  }

  private settle(location: Exclude<Location, { kind: "pieces" }>): void {
    if (this.direct !== undefined) throw this.cursor.damaged("an expression says two places at once");
    this.direct = location;
  }

  private piece(bytes: number): void {
    if (this.pieces.length >= MOST_DEEP || !(bytes >= 0 && bytes < 2 ** 31))
      throw this.cursor.damaged("a variable has more pieces than bytes");
    const location =
      this.direct ?? (this.stack.length > 0 ? { kind: "memory" as const, address: this.pop() } : GONE);
    this.pieces.push({ bytes, location });
    this.direct = undefined;
  }

  private push(formula: Formula): void {
    if (this.stack.length >= MOST_DEEP) throw this.cursor.damaged("an expression has no end");
    // One that doubles itself over and over would fill all memory.
    if (partsOf(formula) > MOST_PARTS) throw new Nowhere("where it is takes too many steps to say");
    this.stack.push(formula);
  }

  private pop(): Formula {
    const top = this.stack.pop();
    if (top === undefined) throw this.cursor.damaged("an expression uses what it does not have");
    return top;
  }

  private peek(depth: number): Formula {
    const found = this.stack[this.stack.length - 1 - depth];
    if (found === undefined) throw this.cursor.damaged("an expression uses what it does not have");
    return found;
  }
}

const GONE: Location & { kind: "absent" } = {
  kind: "absent",
  why: "the compiler has optimised this part of it out",
};

function registerAt(number: number): Formula {
  const register = REGISTERS[number];
  if (register === undefined) throw new Nowhere("it is in a register that is no general one");
  return { kind: "register", register };
}
