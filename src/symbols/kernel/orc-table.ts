import { TargetError } from "../../base/errors.js";
import { lastAtOrBefore, rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";

/** `ORC_REG_*`: what a stack pointer or a base pointer is counted from. Linux, arch/x86/include/asm/orc_types.h. */
export const ORC_BASE = {
  undefined: 0,
  previousSp: 1,
  rdx: 2,
  rdi: 3,
  rbp: 4,
  rsp: 5,
  r10: 6,
  r13: 7,
  behindRbp: 8,
  behindRsp: 9,
} as const;

/** How the frame of a place in the kernel's text is left. */
export interface OrcEntry {
  /** `end`: nobody called this; `undefined`: nobody knows; `registers`: a `struct pt_regs` lies there. */
  readonly kind: "call" | "registers" | "iret-frame" | "end" | "undefined";
  readonly spBase: number;
  readonly spOffset: number;
  readonly bpBase: number;
  readonly bpOffset: number;
}

const ENTRY_SIZE = 6;
const KINDS_SINCE_6_4 = ["undefined", "end", "call", "registers", "iret-frame"] as const;
const KINDS_BEFORE = ["call", "registers", "iret-frame"] as const;

/** Which bits of an entry mean what: they were moved in Linux 6.3 and in 6.4. */
type Layout = "6.1" | "6.3" | "6.4";

/**
 * `.orc_unwind_ip` and `.orc_unwind`: for each stretch of text, how to find the caller from there. Entries
 * are decoded when they are asked for.
 */
export class OrcTable {
  private readonly starts: Int32Array;
  private readonly view: DataView;
  private readonly layout: Layout;
  /** Positions in order of address, where the kernel would have to sort them when it boots. */
  private readonly order: Uint32Array | undefined;

  /**
   * @param startsAt where `starts` lies: each is the distance from itself
   * @throws TargetError the tables do not belong together
   */
  constructor(
    starts: Uint8Array,
    private readonly startsAt: Vaddr,
    entries: Uint8Array,
    /** Sorted. */
    private readonly text: readonly VaddrRange[],
    what: string,
  ) {
    this.starts = new Int32Array(Math.floor(starts.length / 4));
    const view = new DataView(starts.buffer, starts.byteOffset, starts.byteLength);
    for (let index = 0; index < this.starts.length; index += 1)
      this.starts[index] = view.getInt32(4 * index, true);
    if (entries.length < this.starts.length * ENTRY_SIZE)
      throw new TargetError(`${what} is damaged: its unwind tables do not belong together`);
    this.view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
    this.layout = layoutOf(this.view, this.starts.length);
    this.order = this.sorted();
  }

  get count(): number {
    return this.starts.length;
  }

  /** Undefined outside of the text that the table is about. */
  at(vaddr: Vaddr): OrcEntry | undefined {
    if (rangeAt(this.text, vaddr) === undefined) return undefined;
    const { order } = this;
    const place = (index: number): number => (order === undefined ? index : (order[index] ?? 0));
    const found = lastAtOrBefore(this.count, (index) => this.start(place(index)), vaddr);
    return found < 0 ? undefined : this.entry(place(found));
  }

  private start(index: number): number {
    return this.startsAt + 4 * index + (this.starts[index] ?? 0);
  }

  private entry(index: number): OrcEntry {
    const at = ENTRY_SIZE * index;
    const bits = this.view.getUint16(at + 4, true);
    const spBase = bits & 15;
    return {
      kind: this.kindOf(bits, spBase),
      spBase,
      spOffset: this.view.getInt16(at, true),
      bpBase: (bits >>> 4) & 15,
      bpOffset: this.view.getInt16(at + 2, true),
    };
  }

  private kindOf(bits: number, spBase: number): OrcEntry["kind"] {
    if (this.layout === "6.4") return KINDS_SINCE_6_4[(bits >>> 8) & 7] ?? "undefined";
    const end = this.layout === "6.3" ? 0x800 : 0x400;
    if (spBase === ORC_BASE.undefined) return (bits & end) !== 0 ? "end" : "undefined";
    return KINDS_BEFORE[(bits >>> 8) & 3] ?? "undefined";
  }

  private sorted(): Uint32Array | undefined {
    const { count } = this;
    let sorted = true;
    for (let index = 1; sorted && index < count; index += 1)
      sorted = this.start(index - 1) <= this.start(index);
    if (sorted) return undefined;
    return Uint32Array.from(this.starts, (_, index) => index).sort(
      (one, other) => this.start(one) - this.start(other),
    );
  }
}

/**
 * Nothing in the tables says which layout they have, but nearly all entries are of calls: 2 in the three
 * bits of Linux 6.4's kind, 0 in the two bits of its predecessors'. Of those, 6.3 put a bit in front of the
 * one that says: the end.
 */
function layoutOf(entries: DataView, count: number): Layout {
  let calls = 0;
  let later = 0;
  for (let index = 0; index < count; index += 1) {
    const bits = entries.getUint16(ENTRY_SIZE * index + 4, true);
    if (((bits >>> 8) & 7) === 2) calls += 1;
    if ((bits & 0x800) !== 0) later += 1;
  }
  if (calls * 2 > count) return "6.4";
  return later > 0 ? "6.3" : "6.1";
}
