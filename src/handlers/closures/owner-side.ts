import vm from "node:vm";
import type { RegisterFile } from "../../arch/x86_64/registers.js";
import { addressOf, type Address } from "../../base/address.js";
import type { MemoryFault } from "../../base/errors.js";
import type { InstructionFault, Phase } from "../../probes/instruction-fault.js";
import type { Memory, SpaceId } from "../../targets/target.js";
import { type HandlerRegisters, makeHandlerRegisters } from "./handler-registers.js";
import { type Held, HandlerKit } from "./kit.js";
import { ACTION, ANSWER, type Mailbox, TURN } from "./mailbox.js";

/** What a handler is told of its hit beside the registers. */
export interface HitFacts {
  readonly thread: number;
  readonly at: Address;
  readonly phase: Phase;
  readonly retries: number;
  /** The instruction fault: in the fault phase, and in a post-handler called for both outcomes. */
  readonly fault: InstructionFault | undefined;
}

/** The closures of one probe, by what can be asked. The result is looked at only to refuse promises. */
export interface Closures {
  readonly name: string;
  readonly maxfault: number;
  readonly pre?: ((registers: HandlerRegisters, kit: HandlerKit, hit: HitFacts) => unknown) | undefined;
  readonly post?: ((registers: HandlerRegisters, kit: HandlerKit, hit: HitFacts) => unknown) | undefined;
  readonly fault?: ((registers: HandlerRegisters, kit: HandlerKit, hit: HitFacts) => unknown) | undefined;
  readonly faultHandler?: ((fault: MemoryFault, held: Held) => unknown) | undefined;
}

let made = 0;

const NOTHING = (): void => undefined;

/** How long one visit may keep the caller's event loop; milliseconds. */
const VISIT = 5;
/** How long a visit waits for the next hit before it leaves. */
const LINGER = 1;

/**
 * The owner's side: runs the caller's closures, in the caller's thread, for hits that the engine
 * hands over. Each visit is short, so that timers, input and Ctrl-C are served between; and a
 * visit that does not end is ended by the interpreter's own watchdog.
 */
export class ClosureOwner {
  private readonly probes = new Map<number, Closures>();
  private readonly kit: HandlerKit;
  private readonly registers: HandlerRegisters;
  private readonly guarded: vm.Script;
  private readonly name = `trapline visit ${String(made++)}`;
  private scheduled = false;
  private closed = false;
  /** What the guarded script does. */
  private task: () => void = NOTHING;
  /** Of the handler that was cancelled last: what its `faultHandler` is told. */
  private lastFault: MemoryFault | undefined;
  private lastHeld: Held = [];

  constructor(
    private readonly mailbox: Mailbox,
    private readonly memoryOf: (space: SpaceId, thread: number) => Memory,
    private readonly handlerLimit: number,
    write: (text: string) => void,
  ) {
    this.kit = new HandlerKit(write);
    this.registers = makeHandlerRegisters(mailbox.registers);
    // The watchdog of node:vm is the one thing that stops a loop in this very thread; it guards
    // what is called from such a script. Documentation: node:vm, script.runInThisContext, `timeout`.
    this.guarded = new vm.Script(`globalThis[Symbol.for(${JSON.stringify(this.name)})]()`);
    Object.defineProperty(globalThis, Symbol.for(this.name), {
      value: () => {
        this.task();
      },
      configurable: true,
    });
  }

  add(id: number, closures: Closures): void {
    this.probes.set(id, closures);
  }

  remove(id: number): void {
    this.probes.delete(id);
  }

  /** To be called when the engine rings: serves hits until none comes for a moment. */
  visit(): void {
    this.scheduled = false;
    // Scheduled before the end, or rung for: too late.
    if (this.closed) return;
    this.mailbox.set("ownerListens", 1);
    try {
      this.guard(() => {
        this.serve();
      }, this.handlerLimit + VISIT);
    } catch (error) {
      if (!isTimeout(error)) throw error;
      // Stopped while it waited for the engine: nobody waits for that answer any more.
      this.mailbox.pass(TURN.lookup, TURN.running);
      this.answerText(ANSWER.runaway, `the handler did not end within ${String(this.handlerLimit)} ms`);
      this.mailbox.pass(TURN.running, TURN.answered);
      this.releaseAfterRunaway();
    } finally {
      this.mailbox.set("ownerListens", 0);
    }
    // Asked between the last look and the flag going down: nobody will ring for that one.
    if (this.mailbox.get("turn") === TURN.asked) this.schedule();
  }

  /**
   * No handler will run any more: this process ends, perhaps by a handler's own doing. The engine is
   * told, and need not wait.
   */
  leave(): void {
    const { mailbox } = this;
    mailbox.set("ownerLeft", 1);
    mailbox.set("answer", ANSWER.returned);
    mailbox.pass(TURN.running, TURN.answered);
    mailbox.pass(TURN.asked, TURN.answered);
  }

  /** The engine has left the target: there will be no hits. */
  close(): void {
    this.closed = true;
    Reflect.deleteProperty(globalThis, Symbol.for(this.name));
  }

  /** @throws ERR_SCRIPT_EXECUTION_TIMEOUT */
  private guard(task: () => void, milliseconds: number): void {
    this.task = task;
    try {
      this.guarded.runInThisContext({ timeout: milliseconds });
    } finally {
      this.task = NOTHING;
    }
  }

  /** The target goes on already; what the handler held is released, unless that does not end either. */
  private releaseAfterRunaway(): void {
    try {
      this.guard(() => {
        this.kit.releaseHeld();
      }, this.handlerLimit);
    } catch (error) {
      if (!isTimeout(error)) throw error;
    }
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.visit();
    });
  }

  private serve(): void {
    const { mailbox } = this;
    const end = performance.now() + VISIT;
    while (performance.now() < end) {
      const turn = mailbox.get("turn");
      if (turn === TURN.asked) {
        if (mailbox.pass(TURN.asked, TURN.running)) this.run();
      } else if (!mailbox.waitWhile(turn, LINGER)) return;
    }
  }

  private run(): void {
    const { mailbox } = this;
    const closures = this.probes.get(mailbox.get("probe"));
    const action = mailbox.get("action");
    mailbox.set("fencedFaults", 0);
    const { registers } = mailbox;
    registers.dirty = false;
    if (closures === undefined) mailbox.set("answer", ANSWER.returned);
    else if (action === ACTION.faultHandler) this.runFaultHandler(closures);
    else this.runHandler(closures, action);
    mailbox.set("registersWritten", wasWritten(registers) ? 1 : 0);
    mailbox.pass(TURN.running, TURN.answered);
  }

  private runHandler(closures: Closures, action: number): void {
    const { mailbox, kit } = this;
    const thread = mailbox.get("thread");
    const memory = this.memoryOf(mailbox.get("space") as SpaceId, thread);
    kit.begin(mailbox.get("serial"), memory, mailbox.get("handlerFaults"), closures.maxfault);
    const phase: Phase = action === ACTION.pre ? "pre" : action === ACTION.post ? "post" : "fault";
    try {
      const result = closures[phase]?.(this.registers, kit, this.facts(thread, phase));
      if (isThenable(result)) {
        // Whatever it settles to comes too late to matter, but must not end the process as unhandled.
        result.then(undefined, () => undefined);
        kit.releaseHeld();
        this.answerText(ANSWER.runaway, "the handler returned a promise: handlers are synchronous");
      } else mailbox.set("answer", ANSWER.returned);
    } catch (error) {
      this.answerError(error);
    }
    kit.end();
    const counts = kit.counts();
    mailbox.set("handlerFaults", counts.faults);
    mailbox.set("fencedFaults", counts.fenced);
  }

  private runFaultHandler(closures: Closures): void {
    try {
      if (this.lastFault !== undefined) closures.faultHandler?.(this.lastFault, this.lastHeld);
      this.mailbox.set("answer", ANSWER.returned);
    } catch (error) {
      this.answerError(error);
    }
  }

  private answerError(error: unknown): void {
    try {
      this.describeError(error);
    } catch {
      // A handler can throw what cannot even be looked at: a revoked proxy, a getter that throws.
      this.answerText(ANSWER.error, "it threw something that has no text");
    }
  }

  private describeError(error: unknown): void {
    const released = this.kit.releaseHeld();
    this.lastHeld = released.names;
    const unfenced = this.kit.unfenced(error);
    if (unfenced === undefined) {
      this.answerText(
        ANSWER.error,
        error instanceof Error ? `${error.name}: ${error.message}` : String(error),
      );
      return;
    }
    this.lastFault = unfenced;
    this.mailbox.setWide("answerAddress", BigInt.asIntN(64, unfenced.address));
    this.answerText(ANSWER.handlerFault, sourceLine(error));
  }

  private answerText(answer: number, text: string): void {
    this.mailbox.writeText(text);
    this.mailbox.set("answer", answer);
  }

  private facts(thread: number, phase: Phase): HitFacts {
    const { mailbox } = this;
    // The engine wrote the address of an armed location: canonical.
    const at = addressOf(mailbox.getWide("at")) as Address;
    const flags = mailbox.get("faultFlags");
    const fault: InstructionFault | undefined =
      mailbox.get("hasFault") === 0
        ? undefined
        : {
            name: mailbox.readName(),
            number: mailbox.get("faultNumber"),
            code: mailbox.get("faultCode"),
            address: (flags & 2) === 0 ? undefined : BigInt.asUintN(64, mailbox.getWide("faultAddress")),
            retryable: (flags & 1) !== 0,
          };
    return { thread, at, phase, retries: mailbox.get("retries"), fault };
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

const OWN_FRAMES = /[\\/]closures[\\/](kit|owner-side)\.|node:vm/;

/** `file.ts:12:3` of the innermost frame that is the handler's own. */
function sourceLine(error: unknown): string {
  const frames = error instanceof Error ? (error.stack ?? "").split("\n").slice(1) : [];
  const frame = frames.find((line) => !OWN_FRAMES.test(line)) ?? "";
  return /\(?((?:file:\/\/)?[^\s()]+:\d+:\d+)\)?\s*$/.exec(frame)?.[1] ?? "";
}

/** Asked through a function: handlers write behind the compiler's back. */
function wasWritten(registers: RegisterFile): boolean {
  return registers.dirty;
}
