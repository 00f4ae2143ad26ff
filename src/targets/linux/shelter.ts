import { type Address, offsetBy, toBigInt } from "../../base/address.js";
import { ProbeRefused } from "../../base/errors.js";
import type { SpaceMemory } from "./memory.js";
import { DATA, DATA_AT, ENTRY, ENTRY_LENGTH, RESTORER, SHELTER_CODE } from "./shelter-code.js";
import { SIG } from "../signals.js";

/** Entries that a table holds, the last one 0: room for all functions of the largest programs. */
const CAPACITY = 256 * 1024;
const TABLE_BYTES = CAPACITY * ENTRY_LENGTH;
/** Bytes that a shelter takes. */
export const SHELTER_LENGTH = DATA_AT + DATA.table + TABLE_BYTES;
const STUB_AT = 2048;
/** The table grows here in such steps. */
const STEP = 1024 * ENTRY_LENGTH;

/** Flags of an action. asm/signal.h. */
const SA = { siginfo: 0x4n, onStack: 0x0800_0000n, restart: 0x1000_0000n, restorer: 0x0400_0000n } as const;
const SA_RESETHAND = 0x8000_0000n;

export const ACTION_BYTES = 32;
const SET_BYTES = 8;

/** `struct sigaction` of the kernel. */
export interface SignalAction {
  /** 0: SIG_DFL, 1: SIG_IGN. */
  readonly handler: bigint;
  readonly flags: bigint;
  readonly restorer: bigint;
  readonly mask: bigint;
}

const SIG_DFL = 0n;
export const SIG_IGN = 1n;

const IGNORED: SignalAction = { handler: SIG_IGN, flags: 0n, restorer: 0n, mask: 0n };

/** Flags that the kernel knows. include/uapi/asm-generic/signal-defs.h, UAPI_SA_FLAGS. */
const KNOWN_FLAGS = 0xdc00_0807n;
const ALL_SIGNALS = 2n ** 64n - 1n;
const UNBLOCKABLE = (1n << BigInt(SIG.KILL - 1)) | (1n << BigInt(SIG.STOP - 1));

/** An action as rt_sigaction(2) keeps it. */
export function asKernelKeeps(action: SignalAction): SignalAction {
  return { ...action, flags: action.flags & KNOWN_FLAGS, mask: action.mask & ~UNBLOCKABLE };
}

export function encodeAction(action: SignalAction): Uint8Array {
  return new Uint8Array(BigUint64Array.of(action.handler, action.flags, action.restorer, action.mask).buffer);
}

export function decodeAction(bytes: Uint8Array): SignalAction {
  const [handler = 0n, flags = 0n, restorer = 0n, mask = 0n] = new BigUint64Array(bytes.slice().buffer);
  return { handler, flags, restorer, mask };
}

/**
 * What keeps a program right when the tracer dies: a signal handler for SIGTRAP in the program, and
 * a table of what each breakpoint stands for. While the program is traced the handler is never
 * reached but by signals that are the program's own, which it passes on. What the program has for
 * SIGTRAP itself is kept beside it, and told when the program asks.
 */
export class Shelter {
  private table = new Uint8Array(STEP);
  private view = new DataView(this.table.buffer);
  private used = 0;
  private readonly places = new Map<Address, number>();
  /** Where the slots are. */
  private readonly regions: { readonly start: Address; readonly end: Address }[] = [];
  private ignores = false;
  /** A signal of the program's own went through the handler: a thread may be in it. */
  passed = false;
  /** What other processes that share the memory (children of vfork) have set for themselves. */
  readonly wishes = new Map<number, SignalAction>();
  /** Those among them that have their action in the kernel, and so are without shelter. */
  readonly strayed = new Set<number>();

  constructor(
    private readonly memory: SpaceMemory,
    private readonly base: Address,
    /** The process that is meant; one that shares its memory (vfork) has actions of its own. */
    readonly process: number,
  ) {}

  /** The same in a forked copy of the space, whose memory has it as it was at the fork. */
  copy(memory: SpaceMemory, process: number): Shelter {
    const copy = new Shelter(memory, this.base, process);
    copy.table = this.table.slice();
    copy.view = new DataView(copy.table.buffer);
    copy.used = this.used;
    copy.ignores = this.ignores;
    for (const [at, place] of this.places) copy.places.set(at, place);
    copy.regions.push(...this.regions);
    memory.writeText(copy.data(DATA.table), copy.table.subarray(0, copy.used));
    return copy;
  }

  get start(): Address {
    return this.base;
  }

  /** Room for the stub of an injected call. */
  get stub(): Address {
    return offsetBy(this.base, STUB_AT);
  }

  /** Puts the code in place, and what of the data is not zero. */
  fill(): void {
    this.memory.writeText(this.base, SHELTER_CODE);
    this.memory.writeText(this.data(DATA.allSignals), new Uint8Array(SET_BYTES).fill(0xff));
    this.memory.writeText(this.data(DATA.memoryPath), Buffer.from("/proc/self/mem\0"));
  }

  /** A breakpoint is about to be put in. */
  location(at: Address, original: number): void {
    this.enter(ENTRY.location, at, BigInt(original));
  }

  /** A breakpoint of a slot, and where the thread goes on behind it. */
  exit(at: Address, kind: "jump" | "call", to: Address): void {
    this.enter(ENTRY[kind], at, toBigInt(to));
  }

  slots(start: Address, end: Address): void {
    this.enter(ENTRY.slots, start, toBigInt(end));
    this.regions.push({ start, end });
  }

  /** Whether the table has an entry for this place. */
  knows(at: Address): boolean {
    return this.places.has(at);
  }

  /** Whether a program counter is in a slot. */
  isSlot(at: Address): boolean {
    for (const { start, end } of this.regions) if (at >= start && at < end) return true;
    return false;
  }

  /** The text is gone: what is mapped there later is not ours to restore. */
  forget(at: Address): void {
    if (this.places.has(at)) this.enter(ENTRY.nothing, at, 0n);
  }

  /** What a process that executes a program takes along: only that it ignores the signal. */
  inheritedBy(process: number): SignalAction | undefined {
    if (this.strayed.has(process)) return undefined; // the kernel knows
    const own = this.wishes.get(process);
    return (own === undefined ? this.ignores : own.handler === SIG_IGN) ? IGNORED : undefined;
  }

  /** What one of its processes has for SIGTRAP. */
  wishOf(process: number): SignalAction {
    return this.wishes.get(process) ?? this.wish;
  }

  /** What the program itself has for SIGTRAP. */
  get wish(): SignalAction {
    const bytes = new Uint8Array(ACTION_BYTES);
    this.memory.read(this.data(DATA.wish), bytes);
    return decodeAction(bytes);
  }

  /** Keeps what the program has set. */
  keepWish(wish: SignalAction): void {
    this.ignores = wish.handler === SIG_IGN;
    this.memory.writeText(this.data(DATA.wish), encodeAction(wish));
  }

  /**
   * The action that the kernel is to have while we are here: the program's own in all but the handler.
   * Where it has none, nothing interrupts the shelter: a handler of another signal would begin before
   * the shelter's first instruction, and meet breakpoints while SIGTRAP is blocked.
   */
  lent(wish: SignalAction): SignalAction {
    const restorer = toBigInt(offsetBy(this.base, RESTORER));
    const own = wish.handler !== SIG_DFL && wish.handler !== SIG_IGN;
    const flags = own ? wish.flags & ~SA_RESETHAND : SA.siginfo | SA.onStack | SA.restart;
    return {
      handler: toBigInt(this.base),
      flags: flags | SA.restorer,
      restorer: own && (wish.flags & SA.restorer) !== 0n ? wish.restorer : restorer,
      mask: own ? wish.mask : ~UNBLOCKABLE & ALL_SIGNALS,
    };
  }

  /** The next SIGTRAP that reaches the handler is the program's own. */
  announce(): void {
    this.passed = true;
    this.memory.writeText(this.data(DATA.foreign), Uint8Array.of(1, 0, 0, 0));
  }

  data(offset: number): Address {
    return offsetBy(this.base, DATA_AT + offset);
  }

  private enter(kind: number, at: Address, value: bigint): void {
    let place = this.places.get(at);
    if (place === undefined) {
      place = this.used;
      if (place + ENTRY_LENGTH >= TABLE_BYTES)
        throw new ProbeRefused(at, "too-many", `${CAPACITY} breakpoints are as many as one program can have`);
      this.used += ENTRY_LENGTH;
      this.places.set(at, place);
    }
    if (this.used > this.table.length) this.grow();
    this.view.setBigUint64(place, toBigInt(at) | (BigInt(kind) << 56n), true);
    this.view.setBigUint64(place + 8, value, true);
    const entry = this.table.subarray(place, place + ENTRY_LENGTH);
    this.memory.writeText(this.data(DATA.table + place), entry);
  }

  private grow(): void {
    const larger = new Uint8Array(2 * this.table.length);
    larger.set(this.table);
    this.table = larger;
    this.view = new DataView(larger.buffer);
  }
}
