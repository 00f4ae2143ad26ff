import { RegisterFile, REGISTERS } from "../../arch/x86_64/registers.js";
import type { Address } from "../../base/address.js";
import { MEMORY_FAULT_REASONS, type MemoryFaultReason } from "../../base/errors.js";

/**
 * The memory in which the engine's thread and the thread that owns the handlers (the caller's)
 * hand a hit over and back. One hit at a time: the engine waits while a handler runs, as the
 * target's thread does.
 */

/** Whose turn it is. Only these words are waited on. */
export const TURN = {
  /** Nobody's: no hit under way. */
  idle: 0,
  /** The engine asks; the owner has not seen it yet. */
  asked: 1,
  /** The owner runs the handler. */
  running: 2,
  /** The answer stands. */
  answered: 3,
  /** Within a handler, the engine is asked about memory. */
  lookup: 4,
} as const;

/** What the owner answers; see HandlerOutcome. */
export const ANSWER = { returned: 0, handlerFault: 1, error: 2, runaway: 3 } as const;

/** What the engine can be asked within a handler. */
export const QUESTION = {
  /** What bytes that were read are without our breakpoints. */
  hide: 0,
  /** The bytes at an address. */
  read: 1,
  /** That bytes are written. */
  write: 2,
} as const;

export type Question = (typeof QUESTION)[keyof typeof QUESTION];

/** Positions in the words (Int32). */
const WORD = {
  turn: 0,
  serial: 1,
  ownerListens: 2,
  probe: 3,
  action: 4,
  thread: 5,
  space: 6,
  retries: 7,
  handlerFaults: 8,
  fencedFaults: 9,
  answer: 10,
  textLength: 11,
  registersWritten: 12,
  hasFault: 13,
  faultNumber: 14,
  faultCode: 15,
  faultFlags: 16,
  nameLength: 17,
  /** 1: the engine has left the target. */
  left: 18,
  lookupLength: 19,
  /** 1: the owner runs handlers no more. */
  ownerLeft: 20,
  question: 21,
  /** Of a read or a write: how many bytes it came to. */
  lookedLength: 22,
  /** Why it came no further: an index of MEMORY_FAULT_REASONS. */
  lookedReason: 23,
} as const;
const WORDS = 32;
/** Positions in the wide words (BigInt64). */
const WIDE = { at: 0, faultAddress: 1, answerAddress: 2, lookupAt: 3 } as const;
const WIDES = 4;
const NAME_BYTES = 32;
const TEXT_BYTES = 4096;
/** How many bytes of memory one lookup takes. */
export const LOOKUP_BYTES = 4096;
/** How long the engine may take for a lookup; milliseconds. It waits for nothing else meanwhile. */
const LOOKUP_PATIENCE = 1000;

/** What is asked of the owner. */
export const ACTION = { pre: 0, post: 1, fault: 2, faultHandler: 3 } as const;

const OFFSET = {
  wide: WORDS * 4,
  registers: WORDS * 4 + WIDES * 8,
  name: WORDS * 4 + WIDES * 8 + REGISTERS.length * 8,
  text: WORDS * 4 + WIDES * 8 + REGISTERS.length * 8 + NAME_BYTES,
  looked: WORDS * 4 + WIDES * 8 + REGISTERS.length * 8 + NAME_BYTES + TEXT_BYTES,
} as const;

/** What became of a read or a write. */
export interface Accessed {
  /** Bytes. */
  readonly length: number;
  /** Why it came no further, where it did not. */
  readonly reason: MemoryFaultReason;
}

/** One view of the shared memory; both sides make their own. */
export class Mailbox {
  readonly words: Int32Array;
  readonly wide: BigInt64Array;
  readonly registers: RegisterFile;
  private readonly name: Uint8Array;
  private readonly text: Uint8Array;
  private readonly looked: Uint8Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(OFFSET.looked + LOOKUP_BYTES)) {
    this.words = new Int32Array(memory, 0, WORDS);
    this.wide = new BigInt64Array(memory, OFFSET.wide, WIDES);
    this.registers = new RegisterFile(memory, OFFSET.registers);
    this.name = new Uint8Array(memory, OFFSET.name, NAME_BYTES);
    this.text = new Uint8Array(memory, OFFSET.text, TEXT_BYTES);
    this.looked = new Uint8Array(memory, OFFSET.looked, LOOKUP_BYTES);
  }

  get(word: keyof typeof WORD): number {
    return Atomics.load(this.words, WORD[word]);
  }

  set(word: keyof typeof WORD, value: number): void {
    Atomics.store(this.words, WORD[word], value);
  }

  getWide(word: keyof typeof WIDE): bigint {
    return Atomics.load(this.wide, WIDE[word]);
  }

  setWide(word: keyof typeof WIDE, value: bigint): void {
    Atomics.store(this.wide, WIDE[word], value);
  }

  /** Passes the turn, if it is still `from`; wakes the other side. */
  pass(from: number, to: number): boolean {
    if (Atomics.compareExchange(this.words, WORD.turn, from, to) !== from) return false;
    Atomics.notify(this.words, WORD.turn);
    return true;
  }

  /** Waits while the turn is `turn`, at most so long. @returns false when the time is over */
  waitWhile(turn: number, milliseconds: number): boolean {
    return Atomics.wait(this.words, WORD.turn, turn, milliseconds) !== "timed-out";
  }

  /**
   * The owner's question, from within a handler: bytes that were read, without the engine's
   * breakpoints. They are replaced in place; not while no handler is being run.
   *
   * @param bytes at most {@link LOOKUP_BYTES}
   * @throws Error the engine no longer waits for the handler
   */
  lookUp(at: Address, bytes: Uint8Array): void {
    this.ask(QUESTION.hide, at, bytes);
  }

  /**
   * The owner's question for memory that only the engine can reach, from within a handler.
   *
   * @param bytes to be filled, or to be written; at most {@link LOOKUP_BYTES}
   * @throws Error the engine no longer waits for the handler
   */
  access(kind: "read" | "write", at: Address, bytes: Uint8Array): Accessed {
    if (!this.ask(QUESTION[kind], at, bytes)) return { length: 0, reason: "unmapped" };
    return {
      length: this.get("lookedLength"),
      reason: MEMORY_FAULT_REASONS[this.get("lookedReason")] ?? "unmapped",
    };
  }

  /** The engine's answer. @param answer changes the bytes in place */
  answerLookup(answer: (question: Question, at: Address, bytes: Uint8Array) => Accessed | undefined): void {
    const question = this.get("question") as Question;
    // The owner has made it out of an address.
    const at = Number(this.getWide("lookupAt")) as Address;
    const accessed = answer(question, at, this.looked.subarray(0, this.get("lookupLength")));
    this.set("lookedLength", accessed?.length ?? 0);
    this.set("lookedReason", accessed === undefined ? 0 : MEMORY_FAULT_REASONS.indexOf(accessed.reason));
    this.pass(TURN.lookup, TURN.running);
  }

  /** @returns false where no handler is being run, and nothing was asked */
  private ask(question: Question, at: Address, bytes: Uint8Array): boolean {
    this.looked.set(bytes);
    this.set("lookupLength", bytes.length);
    this.setWide("lookupAt", BigInt(at));
    this.set("question", question);
    if (!this.pass(TURN.running, TURN.lookup)) return false;
    this.waitWhile(TURN.lookup, LOOKUP_PATIENCE);
    if (this.pass(TURN.lookup, TURN.running)) throw new Error("the engine has given up on this handler");
    bytes.set(this.looked.subarray(0, bytes.length));
    return true;
  }

  writeText(text: string): void {
    this.set("textLength", writeInto(this.text, text));
  }

  readText(): string {
    return readFrom(this.text, this.get("textLength"));
  }

  writeName(name: string): void {
    this.set("nameLength", writeInto(this.name, name));
  }

  readName(): string {
    return readFrom(this.name, this.get("nameLength"));
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function writeInto(area: Uint8Array, text: string): number {
  return encoder.encodeInto(text, area).written;
}

function readFrom(area: Uint8Array, length: number): string {
  // TextDecoder refuses views of shared memory: decode a copy.
  return decoder.decode(area.slice(0, length));
}
