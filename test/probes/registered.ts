import type { Address } from "../../src/base/address.js";
import { MemoryFault } from "../../src/base/errors.js";
import type { HandlerOutcome } from "../../src/probes/outcome.js";
import type { Probe, ProbeDefinition } from "../../src/probes/probe.js";
import type { Behaviour } from "./actions.js";
import type { Turn } from "./agenda.js";
import type { Account } from "./ledger.js";

export const MAXIMUM_CANCELLED = 3;
export const MEMORY_FAULT = new MemoryFault(8n, "read", "unmapped");

/** A probe of the model, and what is known of it without asking it. */
export interface Registered {
  readonly probe: Probe;
  readonly definition: ProbeDefinition;
  readonly place: Address;
  readonly behaviour: Behaviour;
  readonly account: Account;
  registered: boolean;
  armed: boolean;
  calls: number;
  faults: number;
  errors: number;
  faultHandlerCalls: number;
  /** Hits, by number, that a fault of a handler cancelled. */
  readonly cancelled: Set<number>;
  mustBeDisarmed: boolean;
}

/** A handler faults: where that cancels one hit too many, the probe must be disarmed. */
export function cancel(registered: Registered): HandlerOutcome {
  const { cancelled, account } = registered;
  registered.faults++;
  const isNew = !cancelled.has(account.hits);
  cancelled.add(account.hits);
  let row = 0;
  while (cancelled.has(account.hits - row)) row++;
  registered.mustBeDisarmed = isNew && row >= MAXIMUM_CANCELLED;
  return { kind: "handler-fault", fault: MEMORY_FAULT, where: "model" };
}

/**
 * Holds a probe's books against those of the ledger.
 *
 * @param mayHaveEnded hits counted as completed may have been abandoned: the target was left while they were in slots
 */
export function checkBooks(index: number, registered: Registered, mayHaveEnded: boolean): void {
  const { probe, account } = registered;
  const is = (what: string, count: number, expected: number): void => {
    expect(
      count === expected,
      `probe ${String(index)}: ${what} is ${String(count)}, should be ${String(expected)}`,
    );
  };
  is("hits", probe.hits, account.hits);
  is("completed", probe.completed, account.completed);
  is("faulted", probe.faulted, account.faulted);
  if (!mayHaveEnded || probe.abandoned > account.abandoned)
    is("abandoned", probe.abandoned, account.abandoned);
  is("retries", probe.retries, account.retries);
  is("nmissed", probe.nmissed, account.nmissed);
  is("handler faults", probe.handlerFaults, registered.faults);
  is("handler errors", probe.handlerErrors, registered.errors);
  is("calls of the faultHandler", registered.faultHandlerCalls, registered.faults);
  expect(!registered.mustBeDisarmed, `probe ${String(index)} is disarmed when it should be`);
}

/** The handlers that an event without a location calls, of a probe that is armed. */
export function turnsOfEvent(
  probe: number,
  definition: ProbeDefinition,
  what: "hit" | "halves" | "fault",
): Turn[] {
  const turns: Turn[] = [];
  const add = (phase: Turn["phase"]): void => {
    if (definition[phase] !== undefined) turns.push({ probe, phase, silent: false });
  };
  if (what === "fault") {
    if (definition.faultWhen !== "not-retried") add("fault");
    if (definition.postOn === "both") add("post");
  } else {
    add("pre");
    if (what === "halves") add("post");
  }
  return turns;
}

/** @throws Error where a promise is broken */
export function expect(truth: boolean, what: string): void {
  if (!truth) throw new Error(`it does not hold that ${what}`);
}
