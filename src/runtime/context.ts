import { MemoryFault } from "../base/errors.js";
import type { Hit } from "../probes/probe.js";
import { type HandlerOutcome, RETURNED } from "../probes/outcome.js";
import { NO_THREAD } from "../probes/handler-calls.js";
import { MESSAGES, ScriptError } from "./errors.js";
import { ReadFault } from "./read-fault.js";
import type { Limits } from "./limits.js";

/** What the session does for handlers: output, messages, its own end. */
export interface SessionServices {
  /** Bytes as characters. */
  print(text: string): void;
  warn(text: string): void;
  log(text: string): void;
  /** The script asked for the end of the session. */
  exit(): void;
  readonly limits: Limits;
  /** An unfenced fault counts as a script error (`--strict-faults`). */
  readonly strictFaults: boolean;
}

/** A read that failed when a function was entered, and whose fault is raised at its return. */
export class SavedFault {
  constructor(readonly at: bigint) {}
}

/** What a handler wanted of a function's entry; an error is kept to be raised where the value is asked for. */
export type SavedValues = readonly (bigint | string | SavedFault | ScriptError)[];

/** `next` out of a function: leaves the handler, not the function. No fence catches it. */
class NextProbe extends Error {}

/** One is enough: it says nothing but that it happened. */
const NEXT = new NextProbe("next");

/** A fault past MAXFAULT: no fence stops it. */
class FaultLimit extends Error {
  constructor(readonly fault: MemoryFault | ReadFault) {
    super("MAXFAULT exceeded");
  }
}

/**
 * What generated code works with: one object for all handlers of a session. It decides what a
 * fence catches (S7a): script errors and this hit's handler faults, and nothing else.
 */
export class HandlerContext {
  /** Statements that the handler may still execute. */
  actions = 0;
  depth = 0;
  /** Where the operation at hand stands: set before whatever can fail. */
  where = "";
  /** The last read that failed. */
  readonly readFault = new ReadFault();
  private current: Hit | undefined;

  constructor(readonly services: SessionServices) {}

  /** The hit whose handler runs. */
  get hit(): Hit {
    if (this.current === undefined) throw new Error("no handler is being run");
    return this.current;
  }

  /** The hit, where it must be one of a thread. @throws ScriptError in begin, end, error and timer probes */
  get thread(): Hit {
    const { hit } = this;
    if (hit.thread === NO_THREAD)
      throw new ScriptError("no thread of the target is concerned in this probe", this.where);
    return hit;
  }

  /** Runs a handler, and contains whatever it raises. The plain way allocates nothing. */
  run(handler: () => void, hit: Hit): HandlerOutcome {
    this.current = hit;
    const { limits } = this.services;
    this.actions = hit.thread === NO_THREAD ? limits.MAXACTION_INTERRUPTIBLE : limits.MAXACTION;
    this.depth = 0;
    try {
      handler();
      return RETURNED;
    } catch (error) {
      return this.outcome(error);
    } finally {
      this.current = undefined;
    }
  }

  /** Evaluates what a handler wants of a function's entry, each value for itself. */
  save(values: readonly (() => bigint | string)[], hit: Hit): SavedValues {
    this.current = hit;
    this.actions = this.services.limits.MAXACTION;
    this.depth = 0;
    try {
      return values.map((value) => this.valueOrFault(value));
    } finally {
      this.current = undefined;
    }
  }

  /** A value that {@link save} kept. @throws ScriptError the one that its evaluation ended by */
  saved(index: number): bigint | string | ReadFault {
    const values = this.hit.saved as SavedValues | undefined;
    const value = values?.[index];
    if (value === undefined) throw new Error("nothing was kept of the function's entry");
    if (typeof value !== "object") return value;
    if (value instanceof SavedFault) return this.readFault.of(value.at);
    throw new ScriptError(value.message, value.near);
  }

  private valueOrFault(value: () => bigint | string): SavedValues[number] {
    try {
      return value();
    } catch (error) {
      const fault = error instanceof FaultLimit ? error.fault : error;
      if (fault instanceof ReadFault || fault instanceof MemoryFault) return new SavedFault(fault.address);
      if (error === NEXT) return new ScriptError("'next' in what is evaluated at an entry", this.where);
      if (isStackOverflow(error)) return new ScriptError(STACK_OVERFLOW, this.where);
      if (!(error instanceof ScriptError)) throw error;
      error.near ??= this.where;
      return error;
    }
  }

  /**
   * For a fence: what it caught, which is then dealt with; its message is {@link messageOf} it.
   *
   * @throws what is no business of a fence, unchanged: bugs, `next`, faults past MAXFAULT
   */
  caught(error: unknown, depth: number): ScriptError | MemoryFault | ReadFault {
    if (error instanceof ScriptError) {
      // By the count, not by the words: `error("MAXACTION exceeded")` is an error like any other.
      if (this.actions < 0) throw error;
      this.depth = depth;
      return error;
    }
    if (!(error instanceof ReadFault) && !(error instanceof MemoryFault)) throw error;
    this.contained(error);
    this.depth = depth;
    return error;
  }

  /** For a fence whose catch part wants to know. */
  messageOf(caught: ScriptError | MemoryFault | ReadFault): string {
    return caught instanceof ScriptError ? caught.message : describeFault(caught.address, this.where);
  }

  /**
   * A fault that the handler goes on after: a fence expected it, or a function that has an answer of its
   * own for it. MAXFAULT counts both (S7b).
   *
   * @throws what no fence stops, past MAXFAULT
   */
  contained(fault: MemoryFault | ReadFault = this.readFault): void {
    const { hit } = this;
    hit.handlerFaults++;
    if (hit.handlerFaults > this.services.limits.MAXFAULT) throw new FaultLimit(fault);
    hit.probe.count("fencedFaults");
  }

  /** The last read failed, and what did it has no answer of its own. */
  raise(): never {
    throw this.readFault;
  }

  /** Called when {@link actions} ran out. */
  tooManyActions(where: string): never {
    throw new ScriptError(MESSAGES.actionLimit, where);
  }

  /** A function is entered. */
  enter(where: string): void {
    if (++this.depth > this.services.limits.MAXNESTING) throw new ScriptError(MESSAGES.nestingLimit, where);
  }

  next(): never {
    throw NEXT;
  }

  private outcome(error: unknown): HandlerOutcome {
    if (error === NEXT) return RETURNED;
    if (error instanceof ScriptError)
      return { kind: "error", message: error.message, where: error.near ?? this.where };
    const fault = error instanceof FaultLimit ? error.fault : error;
    if (fault instanceof ReadFault || fault instanceof MemoryFault) {
      if (!(error instanceof FaultLimit)) this.hit.handlerFaults++;
      return this.cancelled(fault instanceof ReadFault ? fault.explain(this.hit) : fault);
    }
    if (isStackOverflow(error)) return { kind: "error", message: STACK_OVERFLOW, where: this.where };
    throw error;
  }

  private cancelled(fault: MemoryFault): HandlerOutcome {
    const { where } = this;
    return this.services.strictFaults
      ? { kind: "error", message: describeFault(fault.address, where), where }
      : { kind: "handler-fault", fault, where };
  }
}

const STACK_OVERFLOW = "the handler overflowed the stack";

function isStackOverflow(error: unknown): boolean {
  return error instanceof RangeError && error.message.includes("call stack");
}

/** By how they are called: what a function that reads memory says it could not copy. */
const COPIES = /'(?:kernel_(?<kernel>string|buffer|[a-z0-9]+)|user_(?:string|buffer))/;

/**
 * As SystemTap words it (tapset/conversions.stp, uconversions.stp, translate.cxx); the operation tells
 * whether a string was copied or a number read.
 */
export function describeFault(address: bigint, where: string): string {
  const hexadecimal = `0x${BigInt.asUintN(64, address).toString(16)}`;
  const match = COPIES.exec(where);
  if (match === null) return `read fault [man error::fault] at ${hexadecimal}`;
  const kind = match.groups?.["kernel"];
  if (kind === undefined) return `user string copy fault -14 at ${hexadecimal} [man error::fault]`;
  return `kernel ${kind === "buffer" ? "string" : kind} copy fault at ${hexadecimal} [man error::fault]`;
}
