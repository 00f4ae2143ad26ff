import { type Address, addressOf, offsetBy, toBigInt } from "../../../base/address.js";
import type { Guard, Mapping, SpaceId } from "../../target.js";
import type { StubMemory } from "./memory.js";
import type { ProgramThread } from "./threads.js";

const PAGE = 4096;
/** Begins a table of exits; sixteen bytes. */
const MAGIC = Buffer.from("TRAPLINE exits 1", "latin1");
/** An entry: where the stop is, where its thread goes on, and how; eight bytes each. */
const ENTRY_BYTES = 24;
const KINDS = ["jump", "call"] as const;
/** No program has more memory of this kind that is worth a look, pages. */
const MOST_PAGES = 16_384;

/** Where a thread goes on that stands at a stop in a slot. See {@link Guard.exit}. */
interface Exit {
  readonly kind: (typeof KINDS)[number];
  readonly to: Address;
}

interface Table {
  readonly start: Address;
  readonly end: Address;
  /** Where it stands: behind the slots. */
  readonly at: Address;
  used: number;
}

/** Bytes to map for slots, with room for the table behind them: no slot has more than two stops. */
export function withTable(length: number): number {
  return 2 * Math.ceil(length / PAGE) * PAGE;
}

/**
 * Keeps with the slots, in the program's own memory, where threads go on that stand at stops in them: should
 * we be killed, the stub keeps such a thread, and who connects to it next can send it on.
 */
export class Exits implements Guard {
  private readonly tables = new Map<SpaceId, Table[]>();
  /** Those of tracers that were killed. */
  private readonly left = new Map<Address, Exit>();

  constructor(private readonly memoryOf: (space: SpaceId) => StubMemory) {}

  begin(): void {
    // Breakpoints are the stub's: they are nothing without it.
  }

  breakpoint(): void {
    // As above.
  }

  forget(): void {
    // Its slot stays: threads may be in it.
  }

  slots(space: SpaceId, start: Address, end: Address): void {
    const table = { start, end, at: end, used: MAGIC.length };
    this.tables.set(space, [...(this.tables.get(space) ?? []), table]);
    this.memoryOf(space).writeText(table.at, MAGIC);
  }

  exit(space: SpaceId, at: Address, kind: Exit["kind"], to: Address): void {
    const table = this.tables.get(space)?.find((each) => at >= each.start && at < each.end);
    if (table === undefined) return;
    const entry = Buffer.alloc(ENTRY_BYTES);
    entry.writeBigUInt64LE(toBigInt(at));
    entry.writeBigUInt64LE(toBigInt(to), 8);
    entry.writeBigUInt64LE(BigInt(KINDS.indexOf(kind)), 16);
    this.memoryOf(space).writeText(offsetBy(table.at, table.used), entry);
    table.used += ENTRY_BYTES;
  }

  /** Is it in slots of ours? */
  covers(space: SpaceId, at: Address): boolean {
    return this.tables.get(space)?.some(({ start, end }) => at >= start && at < end) === true;
  }

  /** A forked space has copies of the tables. */
  copy(from: SpaceId, to: SpaceId): void {
    this.tables.set(
      to,
      (this.tables.get(from) ?? []).map((table) => ({ ...table })),
    );
  }

  /** No tracer before us has left anything. */
  get isEmpty(): boolean {
    return this.left.size === 0;
  }

  /** Looks for what tracers before us have left. */
  findLeft(memory: StubMemory): void {
    for (const mapping of memory.mappings()) {
      if (!isSlots(mapping)) continue;
      const pages = Math.min(MOST_PAGES, (mapping.end - mapping.start) / PAGE);
      const begin = new Uint8Array(MAGIC.length);
      for (let page = 0; page < pages; page++) {
        const at = offsetBy(mapping.start, page * PAGE);
        if (memory.readSome(at, begin) === begin.length && MAGIC.equals(begin))
          this.readTable(memory, at, mapping.end);
      }
    }
  }

  /**
   * Sends a thread on that stands at a stop of a tracer before us.
   *
   * @param at where the `int3` is
   * @returns whether it was one
   */
  leave(thread: ProgramThread, at: Address, memory: StubMemory): boolean {
    const exit = this.left.get(at);
    if (exit === undefined) return false;
    const { registers } = thread;
    if (exit.kind === "jump") registers.pc = exit.to;
    else {
      // An indirect call's target was pushed in the place of its return address.
      const word = Buffer.alloc(8);
      memory.read(registers.sp, word);
      const target = addressOf(word.readBigUInt64LE());
      word.writeBigUInt64LE(toBigInt(exit.to));
      memory.write(registers.sp, word);
      registers.pc = target ?? exit.to;
    }
    return true;
  }

  private readTable(memory: StubMemory, at: Address, end: Address): void {
    const bytes = Buffer.alloc(end - at);
    const length = memory.readSome(at, bytes);
    for (let offset = MAGIC.length; offset + ENTRY_BYTES <= length; offset += ENTRY_BYTES) {
      const stop = addressOf(bytes.readBigUInt64LE(offset));
      const to = addressOf(bytes.readBigUInt64LE(offset + 8));
      const kind = KINDS[Number(bytes.readBigUInt64LE(offset + 16))];
      if (stop === undefined || stop === 0 || to === undefined || kind === undefined) return;
      this.left.set(stop, { kind, to });
    }
  }
}

function isSlots(mapping: Mapping): boolean {
  return mapping.path === "" && mapping.executable && !mapping.writable && !mapping.shared;
}
