import type { Phase } from "../../src/probes/instruction-fault.js";

/** One probe's turn in a phase of an arrival. */
export interface Turn {
  readonly probe: number;
  readonly phase: Phase;
  /** The probe has no handler for this phase: it is concerned, but not called. */
  readonly silent: boolean;
}

/** The order in which handlers must be called, where none may be left out but those of disarmed probes. */
export class Agenda {
  private next = 0;

  constructor(
    private readonly turns: readonly Turn[],
    private readonly isArmed: (probe: number) => boolean,
    /** Told of each probe whose turn it was. */
    private readonly concerned: (probe: number) => void = () => undefined,
  ) {}

  /** A handler is called. @throws Error if that was not its turn */
  call(probe: number, phase: Phase): void {
    for (let turn = this.turns[this.next++]; turn !== undefined; turn = this.turns[this.next++]) {
      if (turn.probe === probe && turn.phase === phase) {
        this.concerned(probe);
        return;
      }
      this.pass(turn);
    }
    throw new Error(`the ${phase}-handler of probe ${String(probe)} is called out of turn`);
  }

  /** No more handlers are called. @throws Error if one should have been */
  end(): void {
    for (; this.next < this.turns.length; this.next++) this.pass(this.turns[this.next] as Turn);
  }

  private pass({ probe, phase, silent }: Turn): void {
    if (!this.isArmed(probe)) return;
    if (!silent) throw new Error(`the ${phase}-handler of probe ${String(probe)} is not called in its turn`);
    this.concerned(probe);
  }
}
