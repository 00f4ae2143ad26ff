import fc from "fast-check";
import { type Address, offsetBy } from "../../src/base/address.js";
import { MemoryFault, ProbeRefused } from "../../src/base/errors.js";
import { ProbeCore } from "../../src/probes/core.js";
import type { Hit, Probe } from "../../src/probes/probe.js";
import { type HandlerOutcome, RETURNED } from "../../src/probes/outcome.js";
import type { SpaceId, ThreadId } from "../../src/targets/target.js";
import { checkFlow, FakeTarget, INSTRUCTIONS, PROGRAM, type SignalHandling, TEXT } from "./fake-target.js";

const SPACE = 1 as SpaceId;
const MAXIMUM_CANCELLED = 5;
/** The second byte of the instruction at +1. */
const INSIDE = offsetBy(TEXT, 2);

/** What a handler of the model does when it is called. */
export type Behaviour = "return" | "fault" | "error" | "unregister" | "disarm-other" | "arm-other" | "miss";

export type Action =
  | { readonly kind: "run"; readonly thread: number; readonly steps: number }
  | { readonly kind: "deal"; readonly stops: number }
  | { readonly kind: "signal"; readonly thread: number; readonly handling: SignalHandling }
  | { readonly kind: "page-away"; readonly thread: number; readonly handling: SignalHandling }
  | {
      readonly kind: "register";
      readonly place: number;
      readonly phases: number;
      readonly behaviour: Behaviour;
      readonly both: boolean;
    }
  | { readonly kind: "unregister" | "disarm" | "arm"; readonly probe: number }
  | { readonly kind: "start-thread" }
  | { readonly kind: "kill"; readonly thread: number };

const small = fc.nat({ max: 5 });
const handling = fc.constantFrom<SignalHandling>("return", "jump", "die", "ignore");
const behaviour = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Behaviour>("return") },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Behaviour>(
      "fault",
      "error",
      "unregister",
      "disarm-other",
      "arm-other",
      "miss",
    ),
  },
);

export const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("run" as const),
        thread: small,
        steps: fc.integer({ min: 1, max: 12 }),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({ kind: fc.constant("deal" as const), stops: fc.integer({ min: 1, max: 6 }) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("signal" as const), thread: small, handling }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("page-away" as const), thread: small, handling }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("register" as const),
        place: fc.nat({ max: INSTRUCTIONS.length }),
        phases: fc.integer({ min: 1, max: 7 }),
        behaviour,
        both: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom("unregister" as const, "disarm" as const, "arm" as const),
        probe: small,
      }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: "start-thread" as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const), thread: small }) },
  ),
  { minLength: 5, maxLength: 60 },
);

interface Registered {
  readonly probe: Probe;
  readonly place: Address;
  readonly behaviour: Behaviour;
  registered: boolean;
  /** Calls, counted by the handlers themselves. */
  readonly calls: { pre: number; post: number; postOfFault: number; fault: number; faultHandler: number };
}

/** Runs one script of actions against the core and checks every invariant; throws where one is broken. */
export class Model {
  private readonly target: FakeTarget;
  private readonly core: ProbeCore;
  private readonly threads: ThreadId[] = [];
  private readonly probes: Registered[] = [];
  private readonly seen = new Set<string>();
  private readonly order: number[] = [];

  constructor() {
    this.target = new FakeTarget((pc) => this.locationOfSlot(pc));
    this.core = new ProbeCore(this.target, {
      probeDisarmed: () => undefined,
      handlerFailed: () => undefined,
      locationLost: () => {
        throw new Error("a location was lost");
      },
    });
    this.startThread();
    this.startThread();
  }

  run(script: readonly Action[]): void {
    for (const action of script) this.perform(action);
    this.finish();
  }

  private perform(action: Action): void {
    switch (action.kind) {
      case "run":
        for (let step = 0; step < action.steps; step++)
          if (!this.target.stepThread(this.thread(action.thread))) break;
        return;
      case "deal":
        for (let stop = 0; stop < action.stops; stop++) this.dealWithOne();
        return;
      case "signal":
        this.target.signal(this.thread(action.thread), action.handling);
        return;
      case "page-away":
        this.target.faultHandling = action.handling === "ignore" ? "return" : action.handling;
        this.target.takePageAway(this.thread(action.thread));
        return;
      case "register":
        this.register(action);
        return;
      case "unregister":
      case "disarm":
      case "arm":
        this.change(action.kind, action.probe);
        return;
      case "start-thread":
        // A space without threads is gone: nothing can start in it.
        if (this.threads.length < 5 && [...this.target.threads()].length > 0) this.startThread();
        return;
      case "kill":
        this.target.kill(this.thread(action.thread));
        return;
    }
  }

  private dealWithOne(): boolean {
    const stop = this.target.wait();
    if (stop === undefined) return false;
    this.order.length = 0;
    this.core.handle(stop);
    this.checkOrder();
    return true;
  }

  private register(action: Extract<Action, { kind: "register" }>): void {
    const index = this.probes.length;
    const place = INSTRUCTIONS[action.place];
    const handler = (hit: Hit): HandlerOutcome => this.onCall(index, hit);
    const probe = this.core.register({
      name: `probe ${String(index)}`,
      pre: (action.phases & 1) !== 0 ? handler : undefined,
      post: (action.phases & 2) !== 0 ? handler : undefined,
      fault: (action.phases & 4) !== 0 ? handler : undefined,
      postOn: action.both ? "both" : "completion",
      maxCancelled: MAXIMUM_CANCELLED,
      faultHandler: (hit) => {
        this.expect(
          hit.fault === undefined || hit.phase !== "pre",
          "a faultHandler is called for a handler's fault",
        );
        this.registeredOf(index).calls.faultHandler++;
      },
    });
    const address = place === undefined ? INSIDE : offsetBy(TEXT, place);
    this.probes.push({
      probe,
      place: address,
      behaviour: action.behaviour,
      registered: true,
      calls: { pre: 0, post: 0, postOfFault: 0, fault: 0, faultHandler: 0 },
    });
    this.arm(index);
  }

  private arm(index: number): void {
    const { probe, place } = this.registeredOf(index);
    if ([...this.target.threads()].length === 0) return; // the space is gone with its last thread
    if (place !== INSIDE) {
      this.core.arm(probe, SPACE, place);
      return;
    }
    // Only where the overlapped instruction is probed can the core know that this is inside one.
    if (
      !this.probes.some((each) => each.place === offsetBy(INSIDE, -1) && each.registered && each.probe.armed)
    )
      return;
    try {
      this.core.arm(probe, SPACE, place);
    } catch (error) {
      if (!(error instanceof ProbeRefused)) throw error;
      this.expect(error.reason === "inside-instruction", `refused for the wrong reason: ${error.reason}`);
      return;
    }
    throw new Error("a probe inside a probed instruction was not refused");
  }

  private change(kind: "unregister" | "disarm" | "arm", which: number): void {
    const registered = this.probes[which % Math.max(1, this.probes.length)];
    if (!registered?.registered) return;
    if (kind === "arm") {
      this.arm(this.probes.indexOf(registered));
    } else if (kind === "disarm") this.core.disarm(registered.probe);
    else {
      this.core.unregister(registered.probe);
      registered.registered = false;
    }
  }

  private onCall(index: number, hit: Hit): HandlerOutcome {
    const registered = this.registeredOf(index);
    const { probe, calls, behaviour } = registered;
    this.expect(hit.probe === probe, "a handler is called for its own probe");
    this.expect(probe.armed && registered.registered, "no handler of a disarmed probe is called");
    this.expect(hit.at === registered.place, "a handler is called for its own place");
    const arrival = this.target.arrivals.get(hit.thread) ?? 0;
    const key = `${String(hit.thread)}:${String(arrival)}:${String(index)}:${hit.phase}`;
    this.expect(
      !this.seen.has(key),
      `the ${hit.phase}-handler of probe ${String(index)} runs twice for one arrival`,
    );
    this.seen.add(key);
    if (hit.phase === "pre") {
      calls.pre++;
      this.order.push(index);
      this.expect(hit.fault === undefined, "a pre-handler sees no instruction fault");
      this.expect(hit.registers.pc === registered.place, "a pre-handler sees the probed address");
    } else if (hit.phase === "fault") {
      calls.fault++;
      this.expect(hit.fault !== undefined, "a fault phase is told of the fault");
    } else if (hit.fault === undefined) calls.post++;
    else {
      calls.postOfFault++;
      this.expect(probe.definition.postOn === "both", "a post-handler for completion never sees a fault");
    }
    return this.behave(behaviour, registered);
  }

  private behave(behaviour: Behaviour, registered: Registered): HandlerOutcome {
    const other = this.probes.find((each) => each !== registered && each.registered);
    switch (behaviour) {
      case "return":
        return RETURNED;
      case "fault":
        return { kind: "handler-fault", fault: new MemoryFault(8n, "read", "unmapped"), where: "model" };
      case "error":
        return { kind: "error", message: "bug", where: "model" };
      case "miss":
        return { kind: "missed" };
      case "unregister":
        this.core.unregister(registered.probe);
        registered.registered = false;
        return RETURNED;
      case "disarm-other":
        if (other !== undefined) this.core.disarm(other.probe);
        return RETURNED;
      case "arm-other":
        if (other !== undefined) this.arm(this.probes.indexOf(other));
        return RETURNED;
    }
  }

  /** Handlers of one arrival ran in the order of their arming, which is that of registration unless re-armed. */
  private checkOrder(): void {
    this.expect(new Set(this.order).size === this.order.length, "no pre-handler runs twice in one stop");
  }

  private finish(): void {
    for (let guard = 0; this.dealWithOne(); guard++) this.expect(guard < 10_000, "stops come to an end");
    this.expect(this.target.leftStopped().length === 0, "no thread is left stopped");
    for (const registered of this.probes) this.core.disarm(registered.probe);
    // With its last thread the space is gone, and its text.
    const lives = [...this.target.threads()].length > 0;
    this.expect(
      !lives || equal(this.target.textNow(), PROGRAM),
      "the original bytes are back after the last disarm",
    );
    // Disarmed, the program runs as it always did, in or out of a slot.
    for (const thread of this.threads) for (let step = 0; step < 20; step++) this.target.stepThread(thread);
    for (let guard = 0; this.dealWithOne(); guard++) this.expect(guard < 10_000, "stops come to an end");
    this.expect(this.target.leftStopped().length === 0, "no thread is left stopped after disarming");
    for (const thread of this.threads) this.target.kill(thread);
    while (this.dealWithOne());
    checkFlow(this.target.executed);
    for (const [index, registered] of this.probes.entries()) this.checkBooks(index, registered);
  }

  private checkBooks(index: number, { probe, calls, behaviour }: Registered): void {
    const name = `probe ${String(index)}`;
    const { hits, completed, faulted, abandoned } = probe;
    this.expect(
      hits === completed + faulted + abandoned,
      `${name}: hits ${String(hits)} = completed ${String(completed)} + faulted ${String(faulted)} + abandoned ${String(abandoned)}`,
    );
    for (const count of [hits, completed, faulted, abandoned, probe.retries, probe.nmissed])
      this.expect(count >= 0, `${name}: no count is negative`);
    if (probe.definition.pre !== undefined)
      this.expect(calls.pre === hits, `${name}: one pre-handler call a hit`);
    this.expect(calls.post <= completed, `${name}: a post-handler only after completion`);
    this.expect(calls.fault <= faulted, `${name}: a fault phase only after a fault`);
    this.expect(calls.postOfFault <= faulted, `${name}: a post-handler of a fault only after a fault`);
    this.expect(probe.retries <= faulted, `${name}: a retry follows a fault`);
    const all = calls.pre + calls.post + calls.postOfFault + calls.fault;
    this.expect(
      probe.handlerFaults === (behaviour === "fault" ? all : 0),
      `${name}: handler faults are counted`,
    );
    this.expect(
      calls.faultHandler === probe.handlerFaults,
      `${name}: faultHandler is called for each handler fault, and for nothing else`,
    );
    this.expect(
      probe.handlerErrors === (behaviour === "error" ? all : 0),
      `${name}: handler errors are counted`,
    );
    if (behaviour === "fault" && probe.definition.pre !== undefined) {
      this.expect(
        hits < MAXIMUM_CANCELLED || probe.disarmedBecause !== undefined,
        `${name}: cancelled again and again, it is disarmed`,
      );
    }
  }

  private startThread(): void {
    const thread = this.target.startThread();
    this.threads.push(thread);
    this.core.handle({
      kind: "thread-start",
      thread,
      space: SPACE,
      copyOf: undefined,
      parent: thread,
      newProcess: false,
    });
  }

  private thread(index: number): ThreadId {
    // There are always two threads at least, dead or alive.
    return this.threads[index % this.threads.length] as ThreadId;
  }

  private registeredOf(index: number): Registered {
    const registered = this.probes[index];
    if (registered === undefined) throw new RangeError("no such probe");
    return registered;
  }

  private locationOfSlot(pc: Address): Address | undefined {
    for (const space of this.core.probedSpaces()) {
      const slot = space.slots.at(pc);
      if (slot !== undefined && pc - slot.address < slot.location.displacement.facts.length)
        return slot.location.address;
    }
    return undefined;
  }

  private expect(truth: boolean, what: string): void {
    if (!truth) throw new Error(what);
  }
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
