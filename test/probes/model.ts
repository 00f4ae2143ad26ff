import { type Address, offsetBy } from "../../src/base/address.js";
import { ProbeRefused } from "../../src/base/errors.js";
import { unlessGone } from "../../src/base/gone.js";
import { ProbeCore } from "../../src/probes/core.js";
import { leave } from "../../src/probes/leaving.js";
import { type HandlerOutcome, RETURNED } from "../../src/probes/outcome.js";
import type { Hit, Probe, ProbeDefinition } from "../../src/probes/probe.js";
import { CONTINUE, type SpaceId, type Stop, type ThreadId } from "../../src/targets/target.js";
import type { Action, Script } from "./actions.js";
import { Agenda } from "./agenda.js";
import { AT, behind, INSIDE, INSTRUCTIONS, PROGRAM, TEXT } from "./fake-program.js";
import { FakeTarget } from "./fake-target.js";
import type { How, Witness } from "./witness.js";
import { BREAKPOINT, type SignalHandling } from "./fake-thread.js";
import { Ledger } from "./ledger.js";
import {
  cancel,
  checkBooks,
  expect,
  MAXIMUM_CANCELLED,
  MEMORY_FAULT,
  type Registered,
  turnsOfEvent,
} from "./registered.js";
import { ReturnCheck } from "./return-check.js";

const MAXIMUM_THREADS = 6;
/** Instructions from which a handler may send its thread to the program's start. */
const LEAVABLE: readonly number[] = [AT.inc, AT.load, AT.last];

/** Runs one script against the core and checks every promise that it makes; throws where one is broken. */
export class Model implements Witness {
  private readonly target: FakeTarget;
  private readonly core: ProbeCore;
  private readonly ledger: Ledger;
  private readonly threads: ThreadId[] = [];
  private readonly probes: Registered[] = [];
  private returns: ReturnCheck | undefined;
  /** An event without a location that is being told. */
  private firing: Agenda | undefined;
  /** The instruction fault that is being dealt with. */
  private fault: { readonly raisedAs: "fault" | "trap"; readonly retryable: boolean } | undefined;
  private away = false;
  /** Was an exec asked for? Who leaves just then does not look at the hits of the former image. */
  private execs = false;

  /** @param inPlace whether displaced instructions execute in their place: see {@link FakeTarget} */
  constructor(private readonly inPlace: boolean) {
    this.target = new FakeTarget(this, inPlace);
    this.core = new ProbeCore(this.target, {
      probeDisarmed: (probe) => {
        this.onDisarmed(probe);
      },
      handlerFailed: () => undefined,
      locationLost: ({ space, address }) => {
        expect(this.target.full, "a location is lost only where there is no room");
        this.ledger.lost(space, address - TEXT);
        this.returns?.lost(space, address - TEXT);
      },
    });
    this.ledger = new Ledger({
      isArmed: (probe) => this.registered(probe).armed,
      definition: (probe) => this.registered(probe).definition,
      alwaysStopsBehind: inPlace,
    });
    this.startThread(undefined);
    this.startThread(this.threads[0]);
  }

  run(script: Script): void {
    for (const action of script.actions) this.perform(action);
    if (script.end === "leave") this.leave();
    else this.finish();
  }

  executed(thread: ThreadId, offset: number, how: How): void {
    this.ledger.executed(thread, this.target.spaceOf(thread), offset, how);
    this.returns?.executed(thread, offset);
  }

  wentBack(thread: ThreadId): void {
    this.ledger.wentBack(thread);
  }

  interrupted(thread: ThreadId): void {
    this.ledger.interrupted(thread);
  }

  jumped(thread: ThreadId, handlers: number): void {
    this.ledger.jumped(thread, handlers);
    this.returns?.jumped(thread);
  }

  locationOfSlot(space: SpaceId, pc: Address): Address | undefined {
    for (const probed of this.core.probedSpaces()) {
      const slot = probed.id === space ? probed.slots.at(pc) : undefined;
      if (slot?.address === pc) return slot.location.address;
    }
    return undefined;
  }

  private perform(action: Action): void {
    switch (action.kind) {
      case "run":
        for (let step = 0; step < action.steps; step++)
          if (!this.target.stepThread(this.thread(action.thread))) break;
        return;
      case "deal":
        this.target.latestFirst = action.latestFirst;
        for (let stop = 0; stop < action.stops; stop++) this.dealWithOne();
        this.target.latestFirst = false;
        return;
      case "signal":
        return this.signal(action);
      case "take-away":
        return this.target.takeAway(this.thread(action.thread), action.what, action.faults);
      case "handle-faults":
        this.target.faultHandling = action.handling;
        return;
      case "system-call":
        if (action.call === "exec") this.execs = true;
        return this.target.setSystemCall(this.thread(action.thread), action.call);
      case "register":
        return this.register(action);
      case "unregister":
      case "disarm":
      case "arm":
        return this.change(action.kind, action.probe);
      case "register-return":
        if (this.returns !== undefined) return;
        this.returns = new ReturnCheck(this.core);
        for (const space of this.target.spaces()) this.returns.arm(space);
        return;
      case "unregister-return":
        return this.returns?.unregister();
      case "fire":
        return this.fire(action);
      case "fill":
        this.target.full = action.full;
        return;
      case "remap":
        return this.remap(this.thread(action.thread));
      case "start-thread":
        return this.startThread(this.thread(action.beside));
      case "kill":
        return this.target.kill(this.thread(action.thread), action.told);
    }
  }

  private signal({ thread: index, handling, afterHit }: Extract<Action, { kind: "signal" }>): void {
    const thread = this.thread(index);
    if (afterHit) {
      const mayDefer = this.inPlace && (handling === "return" || handling === "jump");
      if (mayDefer) this.target.defer(thread, handling);
      this.hit(thread);
      if (mayDefer && !this.target.defer(thread, undefined)) return;
    }
    this.target.signal(thread, handling);
  }

  /** Runs a thread into the next thing that stops it, and deals with that. */
  private hit(thread: ThreadId): void {
    while (this.dealWithOne());
    for (let left = INSTRUCTIONS.length; left > 0 && this.target.stepThread(thread); left--);
    while (this.dealWithOne());
  }

  private register(action: Extract<Action, { kind: "register" }>): void {
    const index = this.probes.length;
    const offset = INSTRUCTIONS[action.place];
    const handler = (hit: Hit): HandlerOutcome => this.onCall(index, hit);
    const definition: ProbeDefinition = {
      name: `probe ${String(index)}`,
      pre: (action.phases & 1) !== 0 ? handler : undefined,
      post: (action.phases & 2) !== 0 ? handler : undefined,
      fault: (action.phases & 4) !== 0 ? handler : undefined,
      postOn: action.both ? "both" : "completion",
      faultWhen: action.notRetried ? "not-retried" : "always",
      maxCancelled: MAXIMUM_CANCELLED,
      faultHandler: (_hit, fault) => {
        expect(fault === MEMORY_FAULT, "a faultHandler is told of a fault of its probe's handler");
        this.registered(index).faultHandlerCalls++;
      },
    };
    this.probes.push({
      probe: this.core.register(definition),
      definition,
      place: offset === undefined ? INSIDE : offsetBy(TEXT, offset),
      behaviour: action.behaviour,
      account: this.ledger.open(),
      registered: true,
      armed: true,
      calls: 0,
      faults: 0,
      errors: 0,
      faultHandlerCalls: 0,
      cancelled: new Set(),
      mustBeDisarmed: false,
    });
    this.arm(index);
  }

  private arm(index: number): void {
    const registered = this.registered(index);
    for (const space of this.target.spaces()) {
      if (registered.place === INSIDE) this.armInside(registered, space);
      else {
        this.core.arm(registered.probe, space, registered.place);
        if (!registered.armed) registered.cancelled.clear();
        this.ledger.armed(index, space, registered.place - TEXT);
        registered.armed = true;
      }
    }
  }

  private armInside({ probe, place }: Registered, space: SpaceId): void {
    // Only where the overlapped instruction is probed can the core know that this is inside one.
    if (!this.holdsBreakpoint(space, offsetBy(TEXT, AT.inc))) return;
    try {
      this.core.arm(probe, space, place);
    } catch (error) {
      if (!(error instanceof ProbeRefused)) throw error;
      expect(
        error.reason === "inside-instruction",
        `a probe is refused for the right reason: ${error.reason}`,
      );
      return;
    }
    throw new Error("a probe inside a probed instruction is refused");
  }

  private change(kind: "unregister" | "disarm" | "arm", which: number): void {
    const index = which % Math.max(1, this.probes.length);
    const registered = this.probes[index];
    if (registered?.registered !== true) return;
    if (kind === "arm") return this.arm(index);
    this.disarmed(registered);
    if (kind === "disarm") this.core.disarm(registered.probe);
    else {
      registered.registered = false;
      this.core.unregister(registered.probe);
    }
  }

  private disarmed(registered: Registered): void {
    registered.armed = false;
    this.ledger.disarmed(this.probes.indexOf(registered));
  }

  private onDisarmed(probe: Probe): void {
    const registered = this.probes.find((each) => each.probe === probe);
    if (registered === undefined) throw new Error("a probe that nobody registered is disarmed");
    expect(registered.mustBeDisarmed, "a probe is disarmed by itself only for a reason");
    registered.mustBeDisarmed = false;
    this.disarmed(registered);
  }

  private fire({ probe: which, what }: Extract<Action, { kind: "fire" }>): void {
    const index = which % Math.max(1, this.probes.length);
    const registered = this.probes[index];
    if (registered === undefined) return;
    const { probe, definition, account, armed } = registered;
    const turns = turnsOfEvent(index, definition, what);
    if (armed) account.hits++;
    this.firing = new Agenda(turns, () => registered.armed);
    if (what === "fault") {
      const fault = { name: "SIGSEGV", number: 11, code: 1, address: 8n, retryable: true };
      if (armed) account.faulted++;
      this.core.fire(probe, "fault", undefined, { fault });
    } else {
      if (armed) account.completed++;
      const counted = this.core.fire(probe, "pre", undefined, what === "halves" ? { part: "begin" } : {});
      expect(counted === armed, "an event of an armed probe is counted, and of no other");
      if (counted && what === "halves") this.core.fire(probe, "post", undefined, { part: "end" });
    }
    this.firing.end();
    this.firing = undefined;
  }

  private remap(thread: ThreadId): void {
    if (![...this.target.threads()].includes(thread)) return;
    const space = this.target.spaceOf(thread);
    if (!this.target.remapText(space)) return;
    this.core.forget(space, (address) => address >= TEXT && address < TEXT + PROGRAM.length);
    for (const offset of INSTRUCTIONS) {
      this.ledger.forgotten(space, offset);
      this.returns?.lost(space, offset);
    }
  }

  private startThread(beside: ThreadId | undefined): void {
    if (this.threads.length >= MAXIMUM_THREADS) return;
    if (beside !== undefined && ![...this.target.threads()].includes(beside)) return;
    const stop = this.target.startThread(beside);
    this.core.handle(stop);
    this.follow(stop);
  }

  private dealWithOne(): boolean {
    const stop = this.target.wait();
    if (stop === undefined) return false;
    this.foresee(stop);
    unlessGone(() => this.core.handle(stop));
    this.ledger.dealt(stop.thread);
    this.fault = undefined;
    this.away = false;
    this.follow(stop);
    return true;
  }

  /** Tells the ledger of a stop, before the core deals with it. */
  private foresee(stop: Stop): void {
    const { ledger, target } = this;
    const { thread } = stop;
    switch (stop.kind) {
      case "breakpoint": {
        const space = target.spaceOf(thread);
        const handling = target.handlingOf(thread);
        if (handling !== undefined) this.foreseeFault(thread, handling, "trap");
        else if (stop.at < TEXT || stop.at >= TEXT + PROGRAM.length) ledger.standsBehind(thread);
        else if (!this.holdsBreakpoint(space, stop.at)) ledger.strays(thread);
        else {
          const readable =
            target.memory(space).readSome(target.registers(thread).sp, new Uint8Array(8)) === 8;
          if (ledger.arrives(thread, space, stop.at - TEXT))
            this.returns?.arrives(thread, space, stop.at - TEXT, readable);
        }
        return;
      }
      case "deferred":
      case "signal": {
        const handling = target.handlingOf(thread);
        if (handling === undefined) throw new Error("a signal stop without a signal");
        if (stop.kind === "signal" && stop.signal.synchronous) this.foreseeFault(thread, handling, "fault");
        else ledger.receives(thread, undefined, handling);
        return;
      }
      case "step":
        return ledger.standsBehind(thread);
      case "instruction-fault": {
        const handling = target.handlingOf(thread);
        if (handling === undefined) throw new Error("an exception that nobody raised");
        return this.foreseeFault(thread, handling, stop.exception.raisedAs);
      }
      case "thread-exiting":
        return ledger.exiting(thread, target.placeOf(thread));
      case "exec":
        this.returns?.gone(thread);
        return ledger.gone(thread, "exec");
      case "thread-gone":
        this.returns?.gone(thread);
        return ledger.gone(thread, "end");
      case "thread-start":
        if (stop.copyOf !== undefined) ledger.copied(stop.copyOf, stop.space, thread, INSTRUCTIONS);
        return;
      case "interrupted":
      case "system-call":
        return;
    }
  }

  private foreseeFault(thread: ThreadId, handling: SignalHandling, raisedAs: "fault" | "trap"): void {
    this.fault = { raisedAs, retryable: raisedAs === "fault" && handling !== "die" };
    this.ledger.receives(thread, raisedAs, handling);
  }

  /** What the core's owner does about a stop afterwards. */
  private follow(stop: Stop): void {
    const { thread } = stop;
    if (stop.kind === "thread-start") {
      this.threads.push(thread);
      if (stop.copyOf !== undefined) this.returns?.copied(stop.parent, thread, stop.copyOf, stop.space);
    } else if (stop.kind !== "exec" && stop.kind !== "thread-exiting") return;
    unlessGone(() => {
      this.target.resume(thread, CONTINUE);
    });
  }

  private onCall(index: number, hit: Hit): HandlerOutcome {
    const registered = this.registered(index);
    const { probe, definition } = registered;
    expect(hit.probe === probe, "a handler is called for its own probe");
    expect(registered.armed && registered.registered, "no handler of a disarmed probe is called");
    if (this.firing !== undefined) this.firing.call(index, hit.phase);
    else {
      this.ledger.called(index, hit.phase);
      expect(hit.at === registered.place, "a handler is called for its own place");
      expect(hit.space === this.target.spaceOf(hit.thread), "a handler is called for its own space");
      expect(
        hit.retries === this.ledger.retries,
        "a handler is told how often the instruction was tried again",
      );
      expect(
        (hit.fault !== undefined) === (this.fault !== undefined),
        "a handler is told of a fault, and of no other",
      );
      expect(
        hit.fault?.retryable === this.fault?.retryable,
        "a handler is told whether the fault is retried",
      );
      const ran = hit.phase === "post" ? this.fault?.raisedAs !== "fault" : this.fault?.raisedAs === "trap";
      const offset = hit.at - TEXT;
      const after = (): number =>
        offset === AT.sigreturn ? this.target.placeOf(hit.thread) : behind(offset);
      const seen = ran ? after() : offset;
      expect(
        this.away || hit.registers.pc === offsetBy(TEXT, seen),
        "a handler sees the program counter as it is",
      );
      if (hit.phase === "pre") expect(hit.handlerFaults === 0, "a hit begins without faults of handlers");
      else if (this.fault === undefined)
        expect(
          hit.handlerFaults === (definition.pre === undefined ? 0 : 1),
          "faults of handlers are counted by hit",
        );
      hit.handlerFaults++;
    }
    registered.calls++;
    return this.behave(index, registered, hit);
  }

  private behave(index: number, registered: Registered, hit: Hit): HandlerOutcome {
    const other = this.probes.findIndex((each) => each !== registered && each.registered);
    switch (registered.behaviour) {
      case "return":
        return RETURNED;
      case "fault":
        return cancel(registered);
      case "fault-at-times":
        return registered.calls % 2 === 0 ? RETURNED : cancel(registered);
      case "error":
        registered.errors++;
        return { kind: "error", message: "bug", where: "model" };
      case "miss":
        registered.account.nmissed++;
        return { kind: "missed" };
      case "runaway":
        registered.mustBeDisarmed = true;
        return { kind: "runaway", message: "too long" };
      case "unregister":
        this.change("unregister", index);
        return RETURNED;
      case "disarm-other":
        if (other >= 0) this.change("disarm", other);
        return RETURNED;
      case "arm-other":
        if (other >= 0) this.arm(other);
        return RETURNED;
      case "send-away":
        if (
          this.firing === undefined &&
          hit.phase === "pre" &&
          !this.away &&
          LEAVABLE.includes(hit.at - TEXT)
        ) {
          this.away = true;
          this.target.send(hit.thread, AT.nop);
          this.ledger.sentAway();
        }
        return RETURNED;
      case "call-program":
        if (this.firing === undefined) this.callProgram(hit.thread);
        return RETURNED;
    }
  }

  /** As a handler that calls a function of the program would: a hit in there is missed. */
  private callProgram(thread: ThreadId): void {
    const space = this.target.spaceOf(thread);
    for (let call = 0; call < 2; call++) {
      const probed = this.holdsBreakpoint(space, offsetBy(TEXT, AT.inc));
      this.ledger.nest(probed, space, AT.inc, () => {
        this.target.runNested(thread, AT.inc, (stop) => this.core.handle(stop));
      });
    }
  }

  private finish(): void {
    this.settleDown();
    for (const registered of this.probes) {
      this.disarmed(registered);
      this.core.disarm(registered.probe);
    }
    this.returns?.unregister();
    this.checkText();
    // Disarmed, the program runs as it always did, in or out of a slot.
    for (let round = 0; round < 3; round++) {
      for (const thread of this.threads) for (let step = 0; step < 20; step++) this.target.stepThread(thread);
      this.settleDown();
    }
    for (const thread of this.threads) this.target.kill(thread, true);
    this.settleDown();
    this.returns?.check();
    for (const [index, registered] of this.probes.entries()) checkBooks(index, registered, false);
  }

  private leave(): void {
    this.returns?.letGo();
    leave(this.core, this.target, (stop) => {
      if (stop.kind === "thread-gone") this.ledger.gone(stop.thread, "end");
      if (stop.kind === "thread-start") this.threads.push(stop.thread);
    });
    this.checkText();
    for (const space of this.target.spaces())
      expect(!this.target.hasSlots(space), "the memory of the slots is given back");
    for (const thread of this.threads) this.ledger.gone(thread, "end");
    this.ledger.close();
    for (const registered of this.probes) registered.armed = false;
    this.target.detach();
    for (let round = 0; round < 3; round++) {
      for (const thread of this.threads) for (let step = 0; step < 20; step++) this.target.stepThread(thread);
      this.target.runFree();
    }
    for (const [index, registered] of this.probes.entries())
      checkBooks(index, registered, !this.inPlace || this.execs);
  }

  private settleDown(): void {
    for (let guard = 0; this.dealWithOne(); guard++) expect(guard < 10_000, "stops come to an end");
    expect(!this.target.leftStopped(), "no thread is left stopped");
  }

  private checkText(): void {
    for (const space of this.target.spaces()) {
      const text = this.target.textNow(space);
      expect(
        text.every((byte, index) => byte === PROGRAM[index]),
        "the original bytes are back",
      );
    }
  }

  private holdsBreakpoint(space: SpaceId, at: Address): boolean {
    const byte = new Uint8Array(1);
    return this.target.memory(space).readSome(at, byte) === 1 && byte[0] === BREAKPOINT;
  }

  private thread(index: number): ThreadId {
    // There are always two threads at least, dead or alive.
    return this.threads[index % this.threads.length] as ThreadId;
  }

  private registered(index: number): Registered {
    const registered = this.probes[index];
    if (registered === undefined) throw new RangeError("no such probe");
    return registered;
  }
}
