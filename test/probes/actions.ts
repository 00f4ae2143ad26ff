import fc from "fast-check";
import type { SignalHandling, SystemCall } from "./fake-thread.js";
import { INSTRUCTIONS } from "./fake-program.js";

/** Scripts that the core is tried with. */
export const RUNS = 10_000;

const BEHAVIOURS = [
  "return",
  "fault",
  "fault-at-times",
  "error",
  "miss",
  "runaway",
  "unregister",
  "disarm-other",
  "arm-other",
  "send-away",
  "call-program",
] as const;

/** What a handler of the model does when it is called. */
export type Behaviour = (typeof BEHAVIOURS)[number];

/** One thing that happens to the core or to the threads that it probes. */
export type Action =
  | { readonly kind: "run"; readonly thread: number; readonly steps: number }
  | { readonly kind: "deal"; readonly stops: number; readonly latestFirst: boolean }
  | {
      readonly kind: "signal";
      readonly thread: number;
      readonly handling: SignalHandling;
      /** Where a hit began just now: that is where it hurts. */
      readonly afterHit: boolean;
    }
  | {
      readonly kind: "take-away";
      readonly thread: number;
      readonly what: "data" | "stack";
      readonly faults: number;
    }
  | { readonly kind: "handle-faults"; readonly handling: Exclude<SignalHandling, "ignore"> }
  | { readonly kind: "system-call"; readonly thread: number; readonly call: SystemCall }
  | {
      readonly kind: "register";
      /** Index among the instructions; the one behind the last is inside an instruction. */
      readonly place: number;
      /** Bit 0: pre, 1: post, 2: fault. */
      readonly phases: number;
      readonly behaviour: Behaviour;
      readonly both: boolean;
      readonly notRetried: boolean;
    }
  | { readonly kind: "unregister" | "disarm" | "arm"; readonly probe: number }
  | { readonly kind: "register-return" | "unregister-return" }
  | { readonly kind: "fire"; readonly probe: number; readonly what: "hit" | "halves" | "fault" }
  | { readonly kind: "fill"; readonly full: boolean }
  | { readonly kind: "remap"; readonly thread: number }
  | { readonly kind: "start-thread"; readonly beside: number }
  | { readonly kind: "kill"; readonly thread: number; readonly told: boolean };

/** A script, and how it ends: by disarming all probes, or by leaving the target in the middle of everything. */
export interface Script {
  readonly actions: readonly Action[];
  readonly end: "disarm" | "leave";
}

const few = fc.nat({ max: 5 });
const ended = { weight: 1, arbitrary: fc.constant("die" as const) };

const KINDS: readonly { weight: number; arbitrary: fc.Arbitrary<Action> }[] = [
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant("run" as const),
      thread: few,
      steps: fc.integer({ min: 1, max: 16 }),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant("deal" as const),
      stops: fc.integer({ min: 1, max: 6 }),
      latestFirst: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("signal" as const),
      thread: few,
      afterHit: fc.boolean(),
      handling: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom("return" as const, "jump" as const, "ignore" as const) },
        ended,
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("take-away" as const),
      thread: few,
      what: fc.constantFrom("data" as const, "stack" as const),
      faults: fc.nat({ max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("handle-faults" as const),
      handling: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom("return" as const, "jump" as const) },
        ended,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("system-call" as const),
      thread: few,
      call: fc.constantFrom(
        "fork" as const,
        "fork" as const,
        "fork" as const,
        "exec" as const,
        "exit" as const,
      ),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("register" as const),
      place: fc.nat({ max: INSTRUCTIONS.length }),
      phases: fc.integer({ min: 1, max: 7 }),
      behaviour: fc.oneof(
        { weight: 5, arbitrary: fc.constant("return" as const) },
        { weight: 4, arbitrary: fc.constantFrom(...BEHAVIOURS) },
      ),
      both: fc.boolean(),
      notRetried: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("unregister" as const, "disarm" as const, "arm" as const),
      probe: few,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "register-return" as const,
        "register-return" as const,
        "unregister-return" as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("fire" as const),
      probe: few,
      what: fc.constantFrom("hit" as const, "halves" as const, "fault" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fill" as const), full: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remap" as const), thread: few }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("start-thread" as const), beside: few }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("kill" as const), thread: few, told: fc.boolean() }),
  },
];

export const scripts: fc.Arbitrary<Script> = fc.record({
  actions: fc.array(fc.oneof(...KINDS), { minLength: 5, maxLength: 80, size: "max" }),
  end: fc.constantFrom("disarm" as const, "disarm" as const, "leave" as const),
});
