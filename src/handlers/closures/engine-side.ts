import { type Address, addressOf, offsetBy, toBigInt } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import type { Handler, Hit } from "../../probes/probe.js";
import { type HandlerOutcome, MISSED, RETURNED } from "../../probes/outcome.js";
import type { Memory, SpaceId } from "../../targets/target.js";
import { type Accessed, ACTION, ANSWER, type Mailbox, QUESTION, type Question, TURN } from "./mailbox.js";

/** How long the owner may take to begin, and a handler to end; milliseconds. */
export interface Patience {
  readonly owner: number;
  readonly handler: number;
}

/** Beyond the handler's own limit: the time that the owner needs to stop it and to answer. */
const GRACE = 150;

/** How often an owner that takes its time is looked after; milliseconds. */
const LOOK_EVERY = 50;
/** On a machine so busy that the owner gets no processor, this much longer at most; milliseconds. */
const LONGEST_STARVED = 10_000;

/**
 * Calls handlers that live in another thread: the engine's side of the hand-over. The target's
 * thread stands still meanwhile; nothing else waits longer than {@link Patience} allows.
 */
export class RemoteHandlers {
  private serial = 0;

  constructor(
    private readonly mailbox: Mailbox,
    /** Wakes the owner where it is not listening already. */
    private readonly ring: () => void,
    /** Makes the counters what a handler is to see. */
    private readonly publish: () => void,
    private readonly patience: Patience,
    /** Makes bytes read from a space be the program's own; see {@link Mailbox.lookUp}. */
    private readonly hideBreakpoints: (space: SpaceId, at: Address, bytes: Uint8Array) => void,
    /** Of targets whose memory the owner's thread cannot reach by itself. */
    private readonly memoryOf: (space: SpaceId) => Memory,
    /** Whether the owner's thread is on its way out of the world: V8 had no memory left for it, say. */
    private readonly ownerAborts: () => boolean,
    /** Whether the owner's thread has had no processor since this was asked last: that time does not count. */
    private readonly ownerStarves: () => boolean,
    /** Does what the handler that just ended asked for, so that it holds for the next one. */
    private readonly obey: () => void,
  ) {}

  /** A handler of a probe, by the owner's number of the probe. */
  handler(probe: number, phase: "pre" | "post" | "fault"): Handler {
    const action = ACTION[phase];
    return (hit) => this.call(hit, probe, action);
  }

  /** The `faultHandler` of a probe; its owner still knows the fault that it just reported. */
  faultHandler(probe: number): (hit: Hit) => void {
    return (hit) => {
      this.call(hit, probe, ACTION.faultHandler);
    };
  }

  private call(hit: Hit, probe: number, action: number): HandlerOutcome {
    const { mailbox } = this;
    if (!this.settled() || mailbox.get("ownerLeft") !== 0) return MISSED;
    this.describe(hit, probe, action);
    this.publish();
    mailbox.pass(TURN.idle, TURN.asked);
    if (mailbox.get("ownerListens") === 0) this.ring();
    if (!this.waitWhile(TURN.asked, this.patience.owner, hit.space)) {
      // Withdrawn before the owner saw it: the hit is missed, and the owner owes no answer.
      if (mailbox.pass(TURN.asked, TURN.idle)) return MISSED;
    }
    if (!this.waitWhile(TURN.running, this.patience.handler + GRACE, hit.space)) {
      if (mailbox.get("ownerLeft") !== 0) return MISSED;
      return {
        kind: "runaway",
        message: `the handler did not end within ${String(this.patience.handler)} ms`,
      };
    }
    const outcome = mailbox.get("ownerLeft") === 0 ? this.answer(hit) : MISSED;
    mailbox.pass(TURN.answered, TURN.idle);
    this.obey();
    return outcome;
  }

  /** A runaway's late answer is taken away; while it still runs, no other handler can. */
  private settled(): boolean {
    this.mailbox.pass(TURN.answered, TURN.idle);
    return this.mailbox.get("turn") === TURN.idle;
  }

  /**
   * Waits while it is the owner's turn; meanwhile answers what the handler asks.
   *
   * @returns false when the time is over, or nothing is to be expected of the owner any more
   */
  private waitWhile(turn: number, milliseconds: number, space: SpaceId): boolean {
    const { mailbox } = this;
    let until = performance.now() + milliseconds;
    const latest = until + LONGEST_STARVED;
    for (;;) {
      const now = mailbox.get("turn");
      if (now === TURN.lookup) {
        mailbox.answerLookup((question, at, bytes) => this.look(space, question, at, bytes));
      } else if (now !== turn) return true;
      const left = until - performance.now();
      if (left <= 0) return false;
      if (mailbox.waitWhile(turn, Math.min(left, LOOK_EVERY))) continue;
      if (this.ownerAborts()) {
        mailbox.set("ownerLeft", 1);
        return false;
      }
      if (this.ownerStarves()) until = Math.min(latest, until + LOOK_EVERY);
    }
  }

  private look(space: SpaceId, question: Question, at: Address, bytes: Uint8Array): Accessed | undefined {
    if (question === QUESTION.hide) {
      this.hideBreakpoints(space, at, bytes);
      return undefined;
    }
    const memory = this.memoryOf(space);
    if (question === QUESTION.read) {
      const length = memory.readSome(at, bytes);
      this.hideBreakpoints(space, at, bytes.subarray(0, length));
      return {
        length,
        reason: length < bytes.length ? memory.faultAt(offsetBy(at, length)).reason : "unmapped",
      };
    }
    try {
      memory.write(at, bytes);
      return { length: bytes.length, reason: "unmapped" };
    } catch (error) {
      if (!(error instanceof MemoryFault)) throw error;
      return { length: Number(error.address - toBigInt(at)), reason: error.reason };
    }
  }

  private describe(hit: Hit, probe: number, action: number): void {
    const { mailbox } = this;
    mailbox.set("serial", ++this.serial);
    mailbox.set("probe", probe);
    mailbox.set("action", action);
    mailbox.set("thread", hit.thread);
    mailbox.set("space", hit.space);
    mailbox.set("retries", hit.retries);
    mailbox.set("handlerFaults", hit.handlerFaults);
    mailbox.set("registersWritten", 0);
    mailbox.setWide("at", BigInt.asIntN(64, toBigInt(hit.at)));
    mailbox.registers.bytes.set(hit.registers.bytes);
    mailbox.set("hasFault", hit.fault === undefined ? 0 : 1);
    if (hit.fault !== undefined) {
      mailbox.writeName(hit.fault.name);
      mailbox.set("faultNumber", hit.fault.number);
      mailbox.set("faultCode", hit.fault.code);
      mailbox.set("faultFlags", (hit.fault.retryable ? 1 : 0) | (hit.fault.address === undefined ? 0 : 2));
      mailbox.setWide("faultAddress", BigInt.asIntN(64, hit.fault.address ?? 0n));
    }
  }

  private answer(hit: Hit): HandlerOutcome {
    const { mailbox } = this;
    hit.handlerFaults = mailbox.get("handlerFaults");
    hit.probe.count("fencedFaults", mailbox.get("fencedFaults"));
    if (mailbox.get("registersWritten") !== 0) {
      hit.registers.bytes.set(mailbox.registers.bytes);
      hit.registers.dirty = true;
    }
    switch (mailbox.get("answer")) {
      case ANSWER.returned:
        return RETURNED;
      case ANSWER.handlerFault: {
        const address = BigInt.asUintN(64, mailbox.getWide("answerAddress"));
        const reason = addressOf(address) === undefined ? "not-canonical" : "unmapped";
        return {
          kind: "handler-fault",
          fault: new MemoryFault(address, "read", reason),
          where: mailbox.readText(),
        };
      }
      case ANSWER.runaway:
        return { kind: "runaway", message: mailbox.readText() };
      default:
        return { kind: "error", message: mailbox.readText(), where: "" };
    }
  }
}
