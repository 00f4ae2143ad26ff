import { lastAtOrBefore, type Vaddr } from "../../../symbols/vaddr.js";
import { AddressSet } from "./address-set.js";
import { type DistanceTable, type FollowedJump, sweep, type SweepListener } from "./code-sweep.js";

/** A piece of text: `start` is in it, `end` is not. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** What is asked of a program or library whose code is looked through. Addresses are all of one kind. */
export interface SweptImage {
  /** Linked for one address, so that numbers among its instructions can be addresses. */
  readonly isFixed: boolean;
  /** Ranges that hold instructions, in order. */
  readonly code: readonly TextRange[];
  /** Data that stands among them, in order. */
  readonly dataInCode: readonly TextRange[];
  /** Where functions and parts of functions start, ascending. */
  readonly starts: readonly number[];
  /** Where else code is entered: by pointers in data, by the unwinder. */
  readonly entered: Iterable<number>;
  /** As many bytes as there are, at most `length`. */
  bytesAt(at: number, length: number): Uint8Array;
}

/**
 * Where the code of an image can be entered other than from the instruction before: by branches, by pointers
 * in its data, through jump tables, by the unwinder. It holds too many addresses rather than too few, and says
 * of what functions nothing can be said: {@link isOpen}. (Return addresses are not in it: whoever
 * displaces a call knows of it.)
 *
 * Not seen are addresses that the program keeps from a time when it stood there: in signal frames, say.
 */
export class CodeEntries {
  private readonly sets: readonly AddressSet[];
  private readonly left: number[] = [];
  /** Functions with a jump that nobody can follow. */
  private readonly opened = new Set<number>();

  private constructor(
    private readonly image: SweptImage,
    private readonly starts: readonly number[],
  ) {
    this.sets = image.code.map(({ start, end }) => new AddressSet(start, end - start));
  }

  /** Looks through all code of an image: the C library's 340,000 instructions take about 0.1 s. */
  static of(image: SweptImage): CodeEntries {
    const entries = new CodeEntries(image, image.starts);
    for (const at of image.entered) entries.add(at);
    for (const at of image.starts) entries.add(at);
    new Gathering(image, entries).run();
    return entries;
  }

  /** Whether control can come to this address from elsewhere than the instruction before. */
  has(at: number): boolean {
    for (const set of this.sets) if (set.has(at)) return true;
    return false;
  }

  /** Whether control may come to any instruction of the function that holds an address. */
  isOpen(at: number): boolean {
    return this.opened.has(this.functionStart(at));
  }

  /** Where functions are left: every return, and every jump into another function. */
  get exits(): readonly number[] {
    return this.left;
  }

  /** Where the next function, or part of one, starts behind an address; infinite where none does. */
  nextStart(at: number): number {
    return this.starts[this.indexOf(at) + 1] ?? Infinity;
  }

  addExit(at: number): void {
    this.left.push(at);
  }

  add(at: number): void {
    for (const set of this.sets) set.add(at);
  }

  openFunctionAt(at: number): void {
    this.opened.add(this.functionStart(at));
  }

  isCode(at: number): boolean {
    return this.image.code.some(({ start, end }) => at >= start && at < end);
  }

  functionStart(at: number): number {
    return this.starts[this.indexOf(at)] ?? -1;
  }

  private indexOf(at: number): number {
    return lastAtOrBefore(this.starts.length, (index) => this.starts[index], at as Vaddr);
  }
}

/** Jumps through tables and between the parts of functions, which can be followed when all is known. */
class Gathering implements SweepListener {
  private readonly jumps: { readonly from: number; readonly tables: readonly DistanceTable[] }[] = [];
  private readonly crossings: { readonly from: number; readonly to: number }[] = [];
  /** Data that instructions name: a table ends where the next thing begins. */
  private readonly named = new Set<number>();
  private stretch: TextRange = { start: 0, end: 0 };

  constructor(
    private readonly image: SweptImage,
    private readonly entries: CodeEntries,
  ) {}

  run(): void {
    for (const stretch of stretchesOf(this.image)) {
      this.stretch = stretch;
      const bytes = this.image.bytesAt(stretch.start, stretch.end - stretch.start);
      sweep(bytes, stretch.start, this.image.isFixed, this);
    }
    for (const { from, tables } of this.jumps)
      if (!this.follow(from, tables)) this.entries.openFunctionAt(from);
    // The parts of a function that the compiler has set apart may share a table.
    for (const { from, to } of this.crossings) {
      if (this.entries.isOpen(from)) this.entries.openFunctionAt(to);
      else if (this.entries.isOpen(to)) this.entries.openFunctionAt(from);
    }
  }

  branch(from: number, to: number, isCall: boolean): void {
    this.entries.add(to);
    const { start, end } = this.stretch;
    if (isCall || (to >= start && to < end)) return;
    if (this.entries.functionStart(to) === to) this.entries.addExit(from);
    else this.crossings.push({ from, to });
  }

  mentions(to: number): void {
    if (this.entries.isCode(to)) this.entries.add(to);
    else this.named.add(to);
  }

  indirectJump(from: number, followed: FollowedJump): void {
    if (followed.kind === "pointer") this.entries.addExit(from);
    else if (followed.kind === "unknown") this.entries.openFunctionAt(from);
    else this.jumps.push({ from, tables: followed.tables });
  }

  leaves(from: number): void {
    this.entries.addExit(from);
  }

  nonsense(from: number): void {
    this.entries.openFunctionAt(from);
  }

  /** @returns whether any of them is a table */
  private follow(from: number, tables: readonly DistanceTable[]): boolean {
    let found = false;
    for (const table of tables) if (this.readTable(from, table)) found = true;
    return found;
  }

  /**
   * It ends at the first entry that leads out of the code, or, behind the next thing that is named, out of the
   * function.
   */
  private readTable(from: number, { at: base, origin }: DistanceTable): boolean {
    const { entries, named } = this;
    const bytes = this.image.bytesAt(base, MOST_ENTRIES * 4);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const start = entries.functionStart(from);
    const end = entries.nextStart(from);
    let isBehind = false;
    for (let at = 0; at + 4 <= bytes.length; at += 4) {
      const to = origin + view.getInt32(at, true);
      if (at > 0 && named.has(base + at)) isBehind = true;
      const isInside = to >= start && to < end;
      if (!isInside && (isBehind || !entries.isCode(to))) return at > 0;
      entries.add(to);
    }
    return bytes.length >= 4;
  }
}

/** Compilers make larger ones, of programs that no person wrote. Those count as tables of this length and more. */
const MOST_ENTRIES = 1 << 16;

/** The code, cut where functions start and where data stands. */
function* stretchesOf(image: SweptImage): Generator<TextRange> {
  const cuts = new Set<number>();
  for (const start of image.starts) cuts.add(start);
  for (const { start, end } of image.dataInCode) cuts.add(start).add(end);
  for (const { start } of image.code) cuts.add(start);
  const sorted = Float64Array.from(cuts).sort();
  let next = 0;
  for (const range of image.code) {
    let { start } = range;
    while (next < sorted.length && (sorted[next] as number) <= start) next++;
    while (start < range.end) {
      const cut = Math.min(sorted[next] ?? Infinity, range.end);
      if (!image.dataInCode.some((data) => data.start <= start && start < data.end))
        yield { start, end: cut };
      start = cut;
      if (cut === sorted[next]) next++;
    }
  }
}
