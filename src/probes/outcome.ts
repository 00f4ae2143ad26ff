import type { MemoryFault } from "../base/errors.js";

/** What a handler call came to. The back ends make one; the core keeps the books by it. */
export type HandlerOutcome =
  /** It ran to its end, or left by `next`. */
  | { readonly kind: "returned" }
  /** An unfenced fault cancelled it. `where` is its script position or source line, if known. */
  | { readonly kind: "handler-fault"; readonly fault: MemoryFault; readonly where: string }
  /** A script error or an exception that is no fault of the target: a bug in the handler. */
  | { readonly kind: "error"; readonly message: string; readonly where: string }
  /** It did not end in time, or used up a resource, and was stopped. The probe is disarmed. */
  | { readonly kind: "runaway"; readonly message: string }
  /** It could not be run now (its owner was busy): the hit is missed. */
  | { readonly kind: "missed" };

/** Shared, so that the plain way of a handler allocates nothing. */
export const RETURNED: HandlerOutcome = { kind: "returned" };
export const MISSED: HandlerOutcome = { kind: "missed" };
