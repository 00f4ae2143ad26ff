import { addressFromHalves } from "../../base/address.js";
import type { Formula } from "../types/location.js";
import { lastAtOrBefore, type Vaddr } from "../vaddr.js";
import { Cursor } from "./cursor.js";
import { type ExpressionContext, valueOf } from "./expression.js";
import { FRAME, REGISTERS } from "./facts.js";
import { constant, operation } from "./formulas.js";

/** What functions have in common that the frame descriptions behind it are about. */
interface Common {
  readonly codeAlignment: number;
  readonly dataAlignment: bigint;
  readonly encoding: number;
  readonly hasAugmentation: boolean;
  readonly instructions: Cursor;
}

/** A stretch of code and how frames are found there. */
interface Description {
  readonly start: Vaddr;
  readonly end: Vaddr;
  /** Of its header, in the section. */
  readonly at: number;
}

/** The canonical frame address at one place: a register and a distance, or what an expression says. */
type Rule =
  | { readonly kind: "register"; readonly register: number; readonly offset: bigint }
  | { readonly kind: "expression"; readonly bytes: Buffer; readonly at: number };

/** How FDEs may write pointers; what it is relative to in the upper bits. LSB 5.0 core, 10.5.1. */
const ENCODING = { absolute: 0, u32: 3, u64: 4, s32: 11, s64: 12, relative: 0x10 } as const;
const MOST_REMEMBERED = 64;
const MOST_AUGMENTATION = 16;
const WIDE = 0xffff_ffff;

/**
 * Where the frame of a function begins (the canonical frame address), by `.debug_frame` or `.eh_frame`.
 * DWARF 5, 6.4; LSB 5.0 core, 10.6. Registers that a function saved are not followed: variables are
 * counted from its frame.
 */
export class CallFrames {
  private readonly common = new Map<number, Common>();
  private descriptionsKept: readonly Description[] | undefined;

  /**
   * @param cursor at the beginning of the section
   * @param vaddr  where the section is in memory; undefined: it is `.debug_frame`, and nowhere
   */
  constructor(
    private readonly cursor: () => Cursor,
    private readonly vaddr: Vaddr | undefined,
  ) {}

  /** @returns undefined where nothing is said of that place @throws TargetError damaged */
  at(vaddr: Vaddr): Formula | undefined {
    this.descriptionsKept ??= this.readDescriptions();
    const list = this.descriptionsKept;
    const found = list[lastAtOrBefore(list.length, (index) => list[index]?.start, vaddr)];
    if (found === undefined || vaddr >= found.end) return undefined;
    const rule = this.ruleAt(found, vaddr);
    if (rule === undefined) return undefined;
    if (rule.kind === "expression") return valueOf(rule.bytes, this.cursor().what, rule.at, NO_CONTEXT);
    const register = REGISTERS[rule.register];
    return register && operation("+", { kind: "register", register }, constant(rule.offset));
  }

  private readDescriptions(): Description[] {
    const found: Description[] = [];
    const cursor = this.cursor();
    while (!cursor.isAtEnd) {
      const at = cursor.offset;
      const entry = this.enter(cursor);
      if (entry === undefined) break;
      if (entry.common !== undefined) {
        const range = this.range(cursor, entry.common);
        if (range !== undefined && range.end > range.start) found.push({ ...range, at });
      }
      cursor.at = entry.end;
    }
    return found.sort((one, other) => one.start - other.start);
  }

  /**
   * Reads the head of an entry.
   *
   * @returns undefined at the terminator; without `common` where it is one itself
   */
  private enter(cursor: Cursor): { readonly end: number; readonly common: Common | undefined } | undefined {
    const isOfDebug = this.vaddr === undefined;
    const short = cursor.u32();
    if (short === 0) return undefined;
    const wide = short === WIDE;
    const length = wide ? cursor.u64() : short;
    const end = cursor.at + length;
    if (!(end <= cursor.end)) throw cursor.damaged("a frame description goes past the end");
    const { at } = cursor;
    const pointer = cursor.sectionOffset(wide);
    const isCommon = isOfDebug ? pointer === (wide ? 2 ** 64 : WIDE) : pointer === 0;
    if (isCommon) return { end, common: undefined };
    const common = this.commonAt(isOfDebug ? pointer : at - pointer);
    return { end, common };
  }

  private commonAt(at: number): Common {
    const known = this.common.get(at);
    if (known !== undefined) return known;
    const cursor = this.cursor();
    if (!(at >= 0 && at < cursor.end)) throw cursor.damaged("a frame description has no beginning", at);
    cursor.at = at;
    const short = cursor.u32();
    const wide = short === WIDE;
    const length = wide ? cursor.u64() : short;
    const end = cursor.at + length;
    if (!(end <= cursor.end)) throw cursor.damaged("a frame description goes past the end", at);
    cursor.sectionOffset(wide);
    const common = this.readCommon(new Cursor(cursor.bytes, cursor.what, 0, cursor.at, end));
    this.common.set(at, common);
    return common;
  }

  private readCommon(cursor: Cursor): Common {
    const version = cursor.u8();
    const augmentation = cursor.text();
    if (augmentation.length > MOST_AUGMENTATION || (augmentation !== "" && !augmentation.startsWith("z")))
      throw cursor.damaged("frame descriptions are augmented in a way that is not known");
    if (version >= 4) cursor.skip(2);
    const codeAlignment = cursor.uleb();
    const dataAlignment = cursor.bigSleb();
    if (version === 1) cursor.skip(1);
    else cursor.skipLeb();
    let encoding: number = ENCODING.absolute;
    if (augmentation !== "") {
      const behind = cursor.uleb() + cursor.at;
      for (const letter of augmentation.slice(1)) {
        if (letter === "R") encoding = cursor.u8();
        else if (letter === "P") pointer(cursor, cursor.u8(), 0 as Vaddr);
        else if (letter === "L") cursor.skip(1);
      }
      if (!(behind <= cursor.end)) throw cursor.damaged("a frame description goes past the end");
      cursor.at = behind;
    }
    return {
      codeAlignment,
      dataAlignment,
      encoding,
      hasAugmentation: augmentation !== "",
      instructions: cursor,
    };
  }

  /** Leaves the cursor at the instructions. */
  private range(
    cursor: Cursor,
    { encoding, hasAugmentation }: Common,
  ): { start: Vaddr; end: Vaddr } | undefined {
    const base = this.vaddr ?? (0 as Vaddr);
    const start = pointer(cursor, encoding, base);
    const length = pointer(cursor, encoding & 7, 0 as Vaddr);
    if (hasAugmentation) cursor.skip(cursor.uleb());
    return start === undefined || length === undefined
      ? undefined
      : { start, end: (start + length) as Vaddr };
  }

  private ruleAt(description: Description, vaddr: Vaddr): Rule | undefined {
    const cursor = this.cursor();
    cursor.at = description.at;
    const entry = this.enter(cursor);
    if (entry?.common === undefined) return undefined;
    this.range(cursor, entry.common);
    const { instructions } = entry.common;
    const run = new FrameRun(entry.common, description.start, vaddr, this.vaddr ?? (0 as Vaddr));
    run.execute(new Cursor(instructions.bytes, instructions.what, 0, instructions.at, instructions.end));
    run.execute(new Cursor(cursor.bytes, cursor.what, 0, cursor.at, entry.end));
    return run.rule;
  }
}

/** Executes call frame instructions up to a place. */
class FrameRun {
  rule: Rule | undefined;
  private place: number;
  private readonly remembered: (Rule | undefined)[] = [];

  constructor(
    private readonly common: Common,
    start: Vaddr,
    private readonly wanted: Vaddr,
    private readonly base: Vaddr,
  ) {
    this.place = start;
  }

  execute(cursor: Cursor): void {
    while (!cursor.isAtEnd) {
      const byte = cursor.u8();
      const high = byte & 0xc0;
      if (high === FRAME.advanceLoc) {
        if (!this.advance(byte & 0x3f)) return;
      } else if (high === FRAME.offset) cursor.skipLeb();
      else if (high === 0 && !this.one(byte, cursor)) return;
    }
  }

  /** @returns is the wanted place not passed yet? */
  private one(op: number, cursor: Cursor): boolean {
    switch (op) {
      case FRAME.nop:
        return true;
      case FRAME.setLoc: {
        const to = pointer(cursor, this.common.encoding, this.base) ?? this.place;
        if (to > this.wanted) return false;
        this.place = to;
        return true;
      }
      case FRAME.advanceLoc1:
        return this.advance(cursor.u8());
      case FRAME.advanceLoc2:
        return this.advance(cursor.u16());
      case FRAME.advanceLoc4:
        return this.advance(cursor.u32());
      case FRAME.rememberState:
        if (this.remembered.length >= MOST_REMEMBERED)
          throw cursor.damaged("a frame is remembered without end");
        this.remembered.push(this.rule);
        return true;
      case FRAME.restoreState:
        this.rule = this.remembered.pop();
        return true;
      case FRAME.defCfa:
        this.rule = { kind: "register", register: cursor.uleb(), offset: cursor.bigUleb() };
        return true;
      case FRAME.defCfaSf:
        this.rule = { kind: "register", register: cursor.uleb(), offset: this.scaled(cursor) };
        return true;
      case FRAME.defCfaRegister: {
        const register = cursor.uleb();
        if (this.rule?.kind === "register") this.rule = { ...this.rule, register };
        return true;
      }
      case FRAME.defCfaOffset:
      case FRAME.defCfaOffsetSf: {
        const offset = op === FRAME.defCfaOffset ? cursor.bigUleb() : this.scaled(cursor);
        if (this.rule?.kind === "register") this.rule = { ...this.rule, offset };
        return true;
      }
      case FRAME.defCfaExpression: {
        const length = cursor.uleb();
        const at = cursor.offset;
        this.rule = { kind: "expression", bytes: cursor.take(length), at };
        return true;
      }
      default:
        passBy(op, cursor);
        return true;
    }
  }

  private scaled(cursor: Cursor): bigint {
    return cursor.bigSleb() * this.common.dataAlignment;
  }

  private advance(steps: number): boolean {
    const to = this.place + steps * this.common.codeAlignment;
    if (to > this.wanted) return false;
    this.place = to;
    return true;
  }
}

/** What is said of registers that were saved. */
function passBy(op: number, cursor: Cursor): void {
  switch (op) {
    case FRAME.restoreExtended:
    case FRAME.undefined:
    case FRAME.sameValue:
    case FRAME.gnuArgsSize:
      cursor.skipLeb();
      return;
    case FRAME.offsetExtended:
    case FRAME.offsetExtendedSf:
    case FRAME.register:
    case FRAME.valOffset:
    case FRAME.valOffsetSf:
      cursor.skipLeb();
      cursor.skipLeb();
      return;
    case FRAME.expression:
    case FRAME.valExpression:
      cursor.skipLeb();
      cursor.skip(cursor.uleb());
      return;
    default:
      throw cursor.damaged(`an instruction of a frame description is not known (0x${op.toString(16)})`);
  }
}

/** @param base where the section is in memory */
function pointer(cursor: Cursor, encoding: number, base: Vaddr): Vaddr | undefined {
  const at = base + cursor.offset;
  const value = pointerForm(cursor, encoding & 15);
  if (value === undefined) return undefined;
  switch (encoding & 0x70) {
    case ENCODING.absolute:
      return value as Vaddr;
    case ENCODING.relative:
      return (at + value) as Vaddr;
    default:
      return undefined;
  }
}

function pointerForm(cursor: Cursor, form: number): number | undefined {
  switch (form) {
    case ENCODING.u32:
      return cursor.u32();
    case ENCODING.s32:
      return cursor.i32();
    case ENCODING.absolute:
    case ENCODING.u64:
    case ENCODING.s64: {
      const low = cursor.u32();
      return addressFromHalves(low, cursor.u32());
    }
    default:
      return undefined;
  }
}

const NO_CONTEXT: ExpressionContext = {
  wide: false,
  frameBase: () => undefined,
  callFrame: () => undefined,
  addressAt: () => 0 as Vaddr,
  baseType: () => undefined,
};
