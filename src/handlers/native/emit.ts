import { type Address, offsetBy } from "../../base/address.js";
import { assertNever } from "../../base/assert-never.js";
import {
  type Assembler,
  assembleAt,
  type General,
  type Label,
  type MemoryOperand,
  type Operand,
} from "../../arch/x86_64/assembler.js";
import { type Allocation, savedOf } from "./allocate.js";
import { type Code, type Instruction, keepsFlags, type Mark, type Source, type Temporary } from "./code.js";

/** What the trampoline skips below the stack pointer before a handler: System V ABI, AMD64 supplement, 3.2.2. */
export const RED_ZONE = 128;

/** Bytes below that which a handler may use. */
export const MOST_STACK = 64;

const WORD = 8;

/** EFLAGS.AC as bit 2 of the third byte. */
const ALIGNMENT_CHECK = { byte: 2, mask: 4, bit: 0x4_0000 } as const;
/** EFLAGS.OF as it is in the second byte. */
const OVERFLOW_IN_BYTE = 8;

/** How often a lock that another holds is tried before the hit is skipped: some 0.1 ms. */
const LOCK_TRIES = 2000;

/** Where a fault in the code goes on: offsets in it. */
export interface Fence {
  readonly from: number;
  readonly to: number;
  readonly resume: number;
}

export interface Place {
  /** Of the first byte. */
  readonly at: Address;
  /** Of the data that the layout lays out. */
  readonly data: Address;
  /** Of the probed instruction. */
  readonly probed: Address;
  /** Code that is run first, e.g. what skips the red zone. */
  readonly lead?: Uint8Array;
}

export interface Piece {
  readonly bytes: Uint8Array;
  /** Where the lead begins, and the handler with it: what is seldom run stands in front. Ends by falling out. */
  readonly entry: number;
  readonly fences: readonly Fence[];
  /** Where a fault that is not in {@link fences}, or is one too many, goes on. */
  readonly cancel: number;
  /** From here on registers are given back: a fault there is none of the handler's. */
  readonly exit: number;
}

/** Which way the flags are kept, and what is on the stack. */
export interface Frame {
  /**
   * `none`: they are not touched. `in-rax`, `on-stack`: as lahf and seto tell them. `all`: as pushfq tells
   * them, and the alignment check is off meanwhile, since the handler reads what may not be aligned.
   */
  readonly flags: "none" | "in-rax" | "on-stack" | "all";
  /** Registers that are pushed after rax and the flags, in this order. */
  readonly saved: readonly General[];
  readonly bytes: number;
  /** With what is pushed for a moment to change the flags. */
  readonly most: number;
}

export function frameOf(code: Code, allocation: Allocation): Frame {
  const registers = savedOf(allocation);
  const all = [...code.hot, ...code.cold];
  const wide = all.some((each) => each.op === "load" && each.bytes > 1);
  const usesRax = registers.includes("rax");
  const keeps = all.every(keepsFlags);
  const flags = wide ? "all" : keeps ? "none" : usesRax ? "on-stack" : "in-rax";
  const saved = registers.filter((each) => each !== "rax");
  const words =
    saved.length + (flags !== "none" || usesRax ? 1 : 0) + (flags === "all" || flags === "on-stack" ? 1 : 0);
  return { flags, saved, bytes: WORD * words, most: WORD * (words + (flags === "all" ? 1 : 0)) };
}

/** Code for one place. */
export function emitPiece(code: Code, allocation: Allocation, frame: Frame, place: Place): Piece {
  const { bytes, result } = assembleAt(place.at, (assembler) =>
    new Emitter(assembler, code, allocation, frame, place).piece(),
  );
  return { bytes, ...result };
}

class Emitter {
  private readonly labels = new Map<number, Label>();
  private readonly faults: { readonly from: number; readonly to: number; readonly resume: Mark }[] = [];
  private readonly savesRax: boolean;

  constructor(
    private readonly assembler: Assembler,
    private readonly code: Code,
    private readonly allocation: Allocation,
    private readonly frame: Frame,
    private readonly place: Place,
  ) {
    this.savesRax = frame.flags !== "none" || [...allocation.values()].includes("rax");
  }

  piece(): Omit<Piece, "bytes"> {
    const { assembler: a, code, frame } = this;
    const offsets = new Map<number, number>();
    const list = (instructions: readonly Instruction[]): void => {
      for (const each of instructions) {
        if (each.op === "mark") offsets.set(each.mark.number, a.length);
        this.instruction(each);
      }
    };
    const [checked, begin, finish, end] = [a.label(), a.label(), a.label(), a.label()];
    list(code.cold);
    if (frame.flags === "all") {
      a.bind(checked);
      a.pushFlags();
      a.arithmeticConstant("and", { base: "rsp" }, ~ALIGNMENT_CHECK.bit);
      a.popFlags();
      a.jump(begin);
      a.bind(finish);
      this.restore();
      a.popFlags();
      a.pop("rax");
      a.jump(end);
    }
    const entry = a.length;
    a.bytes(this.place.lead ?? new Uint8Array());
    this.prologue(checked);
    a.bind(begin);
    list(code.hot);
    const exit = a.length;
    this.epilogue(finish);
    a.bind(end);
    const at = (mark: Mark): number => {
      const offset = offsets.get(mark.number);
      if (offset === undefined) throw new Error("a mark is nowhere");
      return offset;
    };
    const fences = this.faults.map(({ from, to, resume }) => ({ from, to, resume: at(resume) }));
    return { entry, fences, cancel: at(code.cancel), exit };
  }

  private prologue(checked: Label): void {
    const { assembler: a, frame } = this;
    if (this.savesRax) a.push("rax");
    if (frame.flags === "all") a.pushFlags();
    else if (frame.flags !== "none") {
      a.flagsToAh();
      a.setByte("overflow", "rax");
      if (frame.flags === "on-stack") a.push("rax");
    }
    for (const each of frame.saved) a.push(each);
    if (frame.flags !== "all") return;
    a.testByte(this.savedFlags(ALIGNMENT_CHECK.byte), ALIGNMENT_CHECK.mask);
    a.jumpIf("not-equal", checked);
  }

  private epilogue(finish: Label): void {
    const { assembler: a, frame } = this;
    if (frame.flags === "all") {
      a.testByte(this.savedFlags(ALIGNMENT_CHECK.byte), ALIGNMENT_CHECK.mask);
      a.jumpIf("not-equal", finish);
      this.restore();
      // Much cheaper than popfq: the low byte by sahf, overflow by what makes 128 or less.
      a.pop("rax");
      a.swapAx();
      a.andAl(OVERFLOW_IN_BYTE);
      a.addToAl(128 - OVERFLOW_IN_BYTE);
      a.ahToFlags();
    } else {
      this.restore();
      if (frame.flags === "on-stack") a.pop("rax");
      if (frame.flags !== "none") {
        a.addToAl(127);
        a.ahToFlags();
      }
    }
    if (this.savesRax) a.pop("rax");
  }

  private restore(): void {
    for (const each of this.frame.saved.toReversed()) this.assembler.pop(each);
  }

  private savedFlags(byte: number): MemoryOperand {
    return { base: "rsp", displacement: WORD * this.frame.saved.length + byte };
  }

  private label(mark: Mark): Label {
    const known = this.labels.get(mark.number);
    if (known !== undefined) return known;
    const made = this.assembler.label();
    this.labels.set(mark.number, made);
    return made;
  }

  private register(temporary: Temporary): General {
    const register = this.allocation.get(temporary.number);
    if (register === undefined) throw new Error("a temporary has no register");
    return register;
  }

  private data(offset: number): MemoryOperand {
    return { at: offsetBy(this.place.data, offset) };
  }

  private operand(value: Exclude<Source, { kind: "constant" }>): Operand {
    if (value.kind === "word") return this.data(value.at);
    return this.inRegister(value);
  }

  private inRegister(value: Temporary | { readonly kind: "entry"; readonly register: General }): General {
    return value.kind === "entry" ? value.register : this.register(value);
  }

  private move(to: General, from: Source): void {
    if (from.kind === "constant") this.assembler.moveConstant(to, BigInt(from.value));
    else {
      const operand = this.operand(from);
      if (operand !== to) this.assembler.move(to, operand);
    }
  }

  private instruction(node: Instruction): void {
    const { assembler: a } = this;
    switch (node.op) {
      case "mark":
        return a.bind(this.label(node.mark));
      case "jump":
        return a.jump(this.label(node.to));
      case "jump-if":
        this.compare(this.inRegister(node.left), node.right);
        return a.jumpIf(node.condition, this.label(node.to));
      case "set-if": {
        const to = this.register(node.to);
        this.compare(this.inRegister(node.left), node.right);
        a.setByte(node.condition, to);
        return a.extend(to, to, 1, false);
      }
      case "move":
        return this.move(this.register(node.to), node.from);
      case "move-entry":
        return this.moveEntry(this.register(node.to), node.register);
      case "move-wide":
        return a.moveConstant(this.register(node.to), node.value);
      case "arithmetic":
        return this.arithmetic(node, this.register(node.to));
      case "unary":
        this.move(this.register(node.to), node.from);
        return a.unary(node.name, this.register(node.to));
      case "shift": {
        const to = this.register(node.to);
        this.move(to, node.left);
        if (typeof node.count === "number") return a.shift(node.name, to, node.count);
        return a.shiftByCl(node.name, to);
      }
      case "divide":
        if (node.signed) a.signIntoRdx();
        else a.moveConstant("rdx", 0n);
        return a.unary(node.signed ? "idiv" : "div", this.register(node.by));
      case "extend":
        if (node.from.kind === "constant") throw new Error("a constant is extended when it is made");
        return a.extend(this.register(node.to), this.operand(node.from), node.bytes, node.signed);
      case "highest-bit":
        return a.highestBit(this.register(node.to), this.register(node.from));
      case "load": {
        const from = a.length;
        a.extend(this.register(node.to), { base: this.inRegister(node.address) }, node.bytes, node.signed);
        this.faults.push({ from, to: a.length, resume: node.fault });
        return;
      }
      case "stack-pointer":
        return a.loadEffective(this.register(node.to), {
          base: "rsp",
          displacement: this.frame.bytes + RED_ZONE,
        });
      case "probed-address":
        return a.moveConstant(this.register(node.to), BigInt(this.place.probed));
      case "store":
        if (node.from.kind === "constant") return a.storeConstant(this.data(node.at), node.from.value);
        return a.store(this.data(node.at), this.inRegister(node.from));
      case "store-small":
        return a.storeConstant32(this.data(node.at), node.value);
      case "change":
        return this.change(node);
      case "exchange-add":
        return a.lockedExchangeAdd(this.data(node.at), this.register(node.value));
      case "compare-exchange":
        a.lockedCompareExchange(this.data(node.at), this.inRegister(node.desired));
        return a.jumpIf("not-equal", this.label(node.failed));
      case "address":
        return a.loadEffective(this.register(node.to), this.data(node.at));
      case "count-indexed":
        return a.increment(
          { base: this.register(node.base), index: this.register(node.index), scale: WORD },
          node.locked,
        );
      case "lock":
        return this.lock(node);
      default:
        return assertNever(node);
    }
  }

  private compare(left: General, right: Source): void {
    if (right.kind !== "constant") return this.assembler.arithmetic("cmp", left, this.operand(right));
    if (right.value === 0) return this.assembler.test(left, left);
    this.assembler.arithmeticConstant("cmp", left, right.value);
  }

  private moveEntry(to: General, register: General): void {
    const { frame } = this;
    // Pushed: rax, flags, then the others.
    const place = frame.saved.indexOf(register);
    const words = frame.bytes / WORD;
    if (register === "rax" && this.savesRax)
      this.assembler.move(to, { base: "rsp", displacement: WORD * (words - 1) });
    else if (place >= 0)
      this.assembler.move(to, { base: "rsp", displacement: WORD * (frame.saved.length - 1 - place) });
    else if (register === "rsp") throw new Error("the stack pointer is not in a register");
    else this.assembler.move(to, register);
  }

  private arithmetic(node: Extract<Instruction, { op: "arithmetic" }>, to: General): void {
    const { assembler: a } = this;
    let { left, right } = node;
    const is = (value: Source): boolean =>
      value.kind !== "constant" && value.kind !== "word" && this.inRegister(value) === to;
    if (node.name !== "sub" && !is(left) && (is(right) || left.kind === "constant"))
      [left, right] = [right, left];
    if (node.name === "multiply") {
      if (right.kind === "constant") {
        if (left.kind !== "constant") return a.multiplyConstant(to, this.operand(left), right.value);
        this.move(to, left);
        return a.multiplyConstant(to, to, right.value);
      }
      this.move(to, left);
      return a.multiply(to, this.operand(right));
    }
    if (node.name === "add" && (left.kind === "temporary" || left.kind === "entry") && !is(left)) {
      const base = this.inRegister(left);
      if (right.kind === "constant") return a.loadEffective(to, { base, displacement: right.value });
      if (right.kind !== "word") return a.loadEffective(to, { base, index: this.inRegister(right) });
    }
    this.move(to, left);
    if (right.kind === "constant") a.arithmeticConstant(node.name, to, right.value);
    else a.arithmetic(node.name, to, this.operand(right));
  }

  private change({ name, at, by, locked }: Extract<Instruction, { op: "change" }>): void {
    const { assembler: a } = this;
    const word = this.data(at);
    if (by.kind !== "constant") return a.arithmeticMemory(name, word, this.inRegister(by), locked);
    const delta = name === "add" ? by.value : name === "sub" ? -by.value : undefined;
    if (delta === 1) return a.increment(word, locked);
    if (delta === -1) return a.decrement(word, locked);
    a.arithmeticConstant(name, word, by.value, locked);
  }

  /** The owner is the stack pointer: no two threads have the same, and it tells whose stack it is. */
  private lock({ at, tries, failed }: Extract<Instruction, { op: "lock" }>): void {
    const { assembler: a } = this;
    const word = this.data(at);
    const [again, taken] = [a.label(), a.label()];
    const counter = this.register(tries);
    a.moveConstant(counter, BigInt(LOCK_TRIES));
    a.bind(again);
    a.moveConstant("rax", 0n);
    a.lockedCompareExchange(word, "rsp");
    a.jumpIf("equal", taken);
    a.pause();
    a.decrement(counter);
    a.jumpIf("not-equal", again);
    a.jump(this.label(failed));
    a.bind(taken);
  }
}
