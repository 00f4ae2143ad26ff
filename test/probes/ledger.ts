import type { ProbeDefinition } from "../../src/probes/probe.js";
import type { SpaceId, ThreadId } from "../../src/targets/target.js";
import { Agenda, type Turn } from "./agenda.js";
import { AT } from "./fake-program.js";
import type { How } from "./witness.js";
import type { SignalHandling } from "./fake-thread.js";

/** What a probe's books must say. */
export interface Account {
  hits: number;
  completed: number;
  faulted: number;
  abandoned: number;
  nmissed: number;
  retries: number;
}

type Outcome = "completed" | "faulted" | "abandoned";

/** One arrival of one thread, as an onlooker sees it. */
interface Arrival {
  readonly place: string;
  readonly offset: number;
  readonly probes: number[];
  readonly retries: number;
  /** Somebody wants to be called behind the instruction: there the thread is stopped. */
  stopsBehind: boolean;
  /** The instruction ran, but the thread is still out of line. */
  ran: boolean;
}

type Interrupted =
  | { readonly why: "rewound"; readonly arrival: Arrival }
  | { readonly why: "faulted"; readonly retries: number };

/** One thread, and where it stands in its hits. */
interface Line {
  current: Arrival | undefined;
  /** What the signal handler that is about to begin interrupts. */
  interrupts: Interrupted | undefined;
  readonly frames: (Interrupted | undefined)[];
  /** What the signal handler had interrupted that the thread returned from just now. */
  returning: Interrupted | undefined;
  /** Arrivals that nobody will come back to. */
  readonly left: Arrival[];
  /** Forked while its parent was out of line. */
  newborn: boolean;
  /** Its last arrival, where that was at a system call and nothing was there to see the call return. */
  lastCall: Arrival | undefined;
}

/** What the ledger asks about probes. */
export interface Registry {
  isArmed(probe: number): boolean;
  definition(probe: number): ProbeDefinition;
  /** An instruction that is executed for a hit is stopped behind in any case: it executes in its place. */
  readonly alwaysStopsBehind: boolean;
}

/** Keeps by itself, from what the threads really do, the books that the core must come to. */
export class Ledger {
  readonly accounts: Account[] = [];
  /** Retries that a handler which is called now must be told of. */
  retries = 0;
  private readonly entries = new Map<string, readonly number[]>();
  private readonly generations = new Map<string, number>();
  private readonly lines = new Map<ThreadId, Line>();
  private agenda: Agenda | undefined;
  /** The arrival that is being dealt with, and what came of it so far. */
  private dealing:
    | { readonly arrival: Arrival; phase: "pre" | "post"; end: Outcome | undefined; sentAway?: boolean }
    | undefined;
  private nested = false;

  constructor(private readonly registry: Registry) {}

  open(): Account {
    const account = { hits: 0, completed: 0, faulted: 0, abandoned: 0, nmissed: 0, retries: 0 };
    this.accounts.push(account);
    return account;
  }

  armed(probe: number, space: SpaceId, offset: number): void {
    const place = key(space, offset);
    const entries = this.entries.get(place) ?? [];
    if (!entries.includes(probe)) this.entries.set(place, [...entries, probe]);
  }

  disarmed(probe: number): void {
    for (const [place, entries] of this.entries)
      this.entries.set(
        place,
        entries.filter((each) => each !== probe),
      );
  }

  /** Everything is taken out. */
  close(): void {
    this.entries.clear();
  }

  /** No slot could be had: the place is given up. */
  lost(space: SpaceId, offset: number): void {
    const place = key(space, offset);
    this.entries.delete(place);
    const { dealing } = this;
    if (dealing?.arrival.place === this.named(place)) dealing.end = "abandoned";
  }

  /** The text there is gone; if it is probed again, that is another place. */
  forgotten(space: SpaceId, offset: number): void {
    const place = key(space, offset);
    this.entries.delete(place);
    this.generations.set(place, this.generation(place) + 1);
  }

  copied(from: SpaceId, to: SpaceId, child: ThreadId, offsets: readonly number[]): void {
    for (const offset of offsets)
      this.entries.set(key(to, offset), this.entries.get(key(from, offset)) ?? []);
    this.line(child).newborn = true;
  }

  /**
   * A thread stands at a breakpoint of ours.
   *
   * @returns whether it is a new hit, not one that goes on
   */
  arrives(thread: ThreadId, space: SpaceId, offset: number): boolean {
    const line = this.line(thread);
    const place = key(space, offset);
    const back = line.returning;
    line.returning = undefined;
    line.lastCall = undefined;
    if (back?.why === "rewound") {
      if (back.arrival.place === this.named(place)) {
        this.dealing = { arrival: back.arrival, phase: "pre", end: undefined };
        this.agenda = undefined;
        return false;
      }
      this.settle(back.arrival, "abandoned");
    }
    const retries = back?.why === "faulted" ? back.retries + 1 : 0;
    const arrival: Arrival = {
      place: this.named(place),
      offset,
      probes: [],
      retries,
      stopsBehind: false,
      ran: false,
    };
    this.dealing = { arrival, phase: "pre", end: undefined };
    this.retries = retries;
    const turns = (this.entries.get(place) ?? []).map((probe): Turn => ({
      probe,
      phase: "pre",
      silent: this.registry.definition(probe).pre === undefined,
    }));
    this.agenda = this.order(turns, (probe) => {
      arrival.probes.push(probe);
      this.account(probe).hits++;
      if (retries > 0) this.account(probe).retries++;
    });
    return true;
  }

  /** A thread stands at the stop behind an instruction. */
  standsBehind(thread: ThreadId): void {
    const line = this.line(thread);
    if (line.current?.ran === true && line.current.stopsBehind) this.endsBehind(line, line.current);
    else if (!line.newborn)
      throw new Error("a thread is stopped behind an instruction though no probe wants it");
    line.newborn = false;
  }

  /** A breakpoint that a thread met is not there any more. */
  strays(thread: ThreadId): void {
    const line = this.line(thread);
    this.leave(line, line.returning);
    line.returning = undefined;
  }

  /**
   * A thread is about to receive a signal.
   *
   * @param raisedAs undefined where its instruction did not raise it
   */
  receives(thread: ThreadId, raisedAs: "fault" | "trap" | undefined, handling: SignalHandling): void {
    const line = this.line(thread);
    line.interrupts = undefined;
    const arrival = line.current;
    if (arrival === undefined || (raisedAs === undefined && handling === "ignore")) return;
    line.current = undefined;
    if (raisedAs !== undefined) {
      this.settle(arrival, "faulted");
      const retryable = raisedAs === "fault" && handling !== "die";
      if (retryable) line.interrupts = { why: "faulted", retries: arrival.retries };
      this.retries = arrival.retries;
      this.agenda = this.order(arrival.probes.flatMap((probe) => this.turnsOfFault(probe, retryable)));
    } else if (arrival.ran) {
      if (arrival.stopsBehind) this.endsBehind(line, arrival);
      else {
        this.settle(arrival, "completed");
        line.lastCall = arrival;
      }
    } else if (handling === "die") this.settle(arrival, "abandoned");
    else line.interrupts = { why: "rewound", arrival };
  }

  /** A handler is called. */
  called(probe: number, phase: "pre" | "post" | "fault"): void {
    const { dealing } = this;
    if (dealing?.phase === "pre" && phase === "post") {
      if (dealing.sentAway === true)
        throw new Error(
          `a post-handler of probe ${String(probe)} is called though the instruction was left out`,
        );
      this.beginPost(dealing);
    }
    if (this.agenda === undefined)
      throw new Error(`the ${phase}-handler of probe ${String(probe)} is called for nothing`);
    this.agenda.call(probe, phase);
  }

  /** A pre-handler sent its thread elsewhere: that is the end of the instruction, without post-handlers. */
  sentAway(): void {
    if (this.dealing === undefined) return;
    this.dealing.end = "completed";
    this.dealing.sentAway = true;
  }

  /** What a handler has its thread execute meanwhile is no hit. */
  nest(probes: boolean, space: SpaceId, offset: number, body: () => void): void {
    for (const probe of this.entries.get(key(space, offset)) ?? [])
      if (probes && this.registry.isArmed(probe)) this.account(probe).nmissed++;
    this.nested = true;
    try {
      body();
    } finally {
      this.nested = false;
    }
  }

  /** The stop is dealt with, and the thread resumed. */
  dealt(thread: ThreadId): void {
    const { dealing } = this;
    if (dealing !== undefined) {
      const { arrival, end } = dealing;
      if (dealing.phase === "pre") {
        if (end === "abandoned" || dealing.sentAway === true) this.agenda?.end();
        else this.beginPost(dealing);
      }
      if (end === undefined) {
        // The agenda said who would be called, had the instruction been emulated.
        this.agenda = undefined;
        this.line(thread).current = arrival;
      } else this.settle(arrival, end);
    }
    this.agenda?.end();
    this.agenda = undefined;
    this.dealing = undefined;
  }

  executed(thread: ThreadId, space: SpaceId, offset: number, how: How): void {
    if (how === "in its place" && (this.entries.get(key(space, offset)) ?? []).length > 0)
      throw new Error(`a probed instruction is executed unseen: +${String(offset)}`);
    if (this.nested) return;
    const line = this.line(thread);
    line.newborn = false;
    if (how === "emulated") {
      if (this.dealing === undefined) throw new Error(`+${String(offset)} is emulated though nothing hit it`);
      this.dealing.end = "completed";
    } else if (how === "in its place") {
      this.leave(line, line.returning);
      line.returning = undefined;
    } else this.executedOutOfLine(line, offset);
    if (offset === AT.sigreturn) line.returning = line.frames.pop();
  }

  /** A thread is out of a slot by the slot's own jump. */
  wentBack(thread: ThreadId): void {
    const line = this.line(thread);
    line.newborn = false;
    if (this.nested || line.current?.ran !== true) return;
    this.settle(line.current, "completed");
    line.lastCall = line.current;
    line.current = undefined;
  }

  interrupted(thread: ThreadId): void {
    const line = this.line(thread);
    this.leave(line, line.returning);
    line.returning = undefined;
    line.frames.push(line.interrupts);
    line.interrupts = undefined;
  }

  jumped(thread: ThreadId, frames: number): void {
    const line = this.line(thread);
    for (const frame of line.frames.splice(-frames)) this.leave(line, frame);
  }

  /**
   * A thread was seen on its way out.
   *
   * @param place the instruction that would have been next
   */
  exiting(thread: ThreadId, place: number): void {
    const line = this.line(thread);
    const { current } = line;
    if (current !== undefined) {
      // A trap that came too late to be told of.
      const isTrapped = current.offset === AT.trap && place !== AT.trap;
      this.settle(current, isTrapped && !current.stopsBehind ? "completed" : "abandoned");
    }
    line.current = undefined;
  }

  /** A thread is gone, or its image is. */
  gone(thread: ThreadId, by: "exec" | "end"): void {
    const line = this.line(thread);
    const { current } = line;
    if (current !== undefined) {
      // Nobody saw where it was: without a stop behind the instruction it counts as done when it is begun.
      this.settle(current, by === "exec" || current.stopsBehind ? "abandoned" : "completed");
    }
    // An exec may be that very call: whether it is, nobody can tell afterwards.
    if (by === "exec" && line.lastCall !== undefined)
      for (const probe of line.lastCall.probes) {
        this.account(probe).completed--;
        this.account(probe).abandoned++;
      }
    this.leave(line, line.returning);
    for (const frame of line.frames) this.leave(line, frame);
    for (const arrival of line.left) this.settle(arrival, "abandoned");
    this.lines.delete(thread);
  }

  private executedOutOfLine(line: Line, offset: number): void {
    const arrival = line.current;
    if (arrival === undefined) throw new Error(`+${String(offset)} is executed out of line without a hit`);
    if (this.registry.alwaysStopsBehind) arrival.ran = true;
    else if (arrival.stopsBehind && offset === AT.sigreturn) {
      line.left.push(arrival);
      line.current = undefined;
    } else if (arrival.stopsBehind || offset === AT.systemCall) arrival.ran = true;
    else {
      if (offset === AT.sigreturn) line.lastCall = arrival;
      this.settle(arrival, "completed");
      line.current = undefined;
    }
  }

  private endsBehind(line: Line, arrival: Arrival): void {
    this.settle(arrival, "completed");
    this.retries = arrival.retries;
    this.agenda = this.order(this.turnsBehind(arrival));
    line.current = undefined;
  }

  private beginPost(dealing: NonNullable<typeof this.dealing>): void {
    this.agenda?.end();
    const { arrival } = dealing;
    dealing.phase = "post";
    const turns = this.turnsBehind(arrival);
    arrival.stopsBehind =
      this.registry.alwaysStopsBehind || turns.some(({ probe }) => this.registry.isArmed(probe));
    this.retries = arrival.retries;
    this.agenda = this.order(turns);
  }

  private turnsBehind(arrival: Arrival): Turn[] {
    return arrival.probes
      .filter((probe) => this.registry.definition(probe).post !== undefined)
      .map((probe) => ({ probe, phase: "post", silent: false }));
  }

  private turnsOfFault(probe: number, retryable: boolean): Turn[] {
    const { fault, faultWhen, post, postOn } = this.registry.definition(probe);
    const turns: Turn[] = [];
    if (fault !== undefined && !(faultWhen === "not-retried" && retryable))
      turns.push({ probe, phase: "fault", silent: false });
    if (post !== undefined && postOn === "both") turns.push({ probe, phase: "post", silent: false });
    return turns;
  }

  private order(turns: readonly Turn[], concerned?: (probe: number) => void): Agenda {
    return new Agenda(turns, (probe) => this.registry.isArmed(probe), concerned);
  }

  private leave(line: Line, interrupted: Interrupted | undefined): void {
    if (interrupted?.why === "rewound") line.left.push(interrupted.arrival);
  }

  private settle(arrival: Arrival, outcome: Outcome): void {
    for (const probe of arrival.probes) this.account(probe)[outcome]++;
  }

  private line(thread: ThreadId): Line {
    let line = this.lines.get(thread);
    if (line === undefined) {
      line = {
        current: undefined,
        interrupts: undefined,
        frames: [],
        returning: undefined,
        left: [],
        newborn: false,
        lastCall: undefined,
      };
      this.lines.set(thread, line);
    }
    return line;
  }

  private account(probe: number): Account {
    const account = this.accounts[probe];
    if (account === undefined) throw new RangeError("no such probe");
    return account;
  }

  private generation(place: string): number {
    return this.generations.get(place) ?? 0;
  }

  private named(place: string): string {
    return `${place}#${String(this.generation(place))}`;
  }
}

function key(space: SpaceId, offset: number): string {
  return `${String(space)}+${String(offset)}`;
}
