import { withInstruction } from "../../../../arch/x86_64/decode.js";
import { instructionFacts } from "../../../../arch/x86_64/instruction-facts.js";
import type { Address } from "../../../../base/address.js";
import type { RefusalReason } from "../../../../base/refusals.js";
import { isRunByKgdb } from "./own-functions.js";

/** Why a breakpoint of KGDB's cannot be at a place; the half-sentence is for the user. */
export interface KgdbRefusal {
  readonly reason: RefusalReason;
  readonly detail: string;
}

export const NO_FAULTS = "KGDB does not tell of an instruction's fault before the kernel has dealt with it";

const BREAKPOINT = 0xcc;

/** What is asked about a place. */
export interface KgdbPlace {
  readonly at: Address;
  /** What is there, as many bytes as can be read up to 15. */
  readonly bytes: Uint8Array;
  /** The function that it is in. */
  readonly function: string | undefined;
  /** The kernel goes on elsewhere where the instruction faults (its exception table). */
  readonly mayBeFixedUp: boolean;
}

/** The one place that decides whether KGDB can hold a breakpoint somewhere, and step over what is there. */
export function refusedByKgdb({
  at,
  bytes,
  function: name,
  mayBeFixedUp,
}: KgdbPlace): KgdbRefusal | undefined {
  if (bytes.length === 0) return { reason: "unmapped", detail: "no memory is mapped there" };
  if (bytes[0] === BREAKPOINT)
    return { reason: "foreign-breakpoint", detail: "a breakpoint of the kernel's own is already there" };
  if (name !== undefined && isRunByKgdb(name))
    return {
      reason: "debugger-text",
      detail: `KGDB itself runs ${name}: a breakpoint there would stop the debugger`,
    };
  const facts = withInstruction(bytes, at, (instruction) =>
    instruction.isInvalid ? undefined : instructionFacts(instruction),
  );
  // Its fault would go unnoticed, and the step that it ended would never seem to be over.
  if (mayBeFixedUp || facts?.flow === "exception") return { reason: "unseen-fault", detail: NO_FAULTS };
  if (facts?.isRepString === true)
    return { reason: "not-in-one-step", detail: "KGDB steps a rep instruction by its single iterations" };
  if (facts?.shadowsNext === true)
    return { reason: "not-in-one-step", detail: "KGDB's step over this instruction runs the next one, too" };
  return undefined;
}
