import { type Code, definitionsOf, type Instruction, isPure, type Temporary, usesOf, wayOf } from "./code.js";

/** What is needed later, by the place in the code: bit n of `behind[i]` is temporary n. */
export interface Liveness {
  readonly instructions: readonly Instruction[];
  readonly behind: readonly bigint[];
}

/** Code without what is never run or never wanted, and without jumps to the next instruction. */
export function tidy(code: Code): Code {
  for (let now = code; ;) {
    const next = withoutDead(withoutUnreached(now));
    if (next.hot.length === now.hot.length && next.cold.length === now.cold.length) return next;
    now = next;
  }
}

function withoutUnreached(code: Code): Code {
  const goals = new Set([...code.hot, ...code.cold].map((each) => wayOf(each)?.number));
  // The tracer goes there by itself.
  goals.add(code.cancel.number);
  const reached = (list: readonly Instruction[], fallsIn: boolean): Instruction[] => {
    let runs = fallsIn;
    const kept: Instruction[] = [];
    list.forEach((each, index) => {
      if (each.op === "mark") {
        if (!goals.has(each.mark.number)) return;
        runs = true;
      }
      if (!runs) return;
      if (each.op === "jump") {
        runs = false;
        if (leadsToNext(list, index, each.to.number)) {
          runs = true;
          return;
        }
      }
      kept.push(each);
    });
    return kept;
  };
  return { ...code, hot: reached(code.hot, true), cold: reached(code.cold, false) };
}

function leadsToNext(list: readonly Instruction[], index: number, mark: number): boolean {
  for (let next = index + 1; ; next++) {
    const each = list[next];
    if (each?.op !== "mark") return false;
    if (each.mark.number === mark) return true;
  }
}

function withoutDead(code: Code): Code {
  const { behind } = liveness(code);
  const wanted = (each: Instruction, index: number): boolean =>
    !isPure(each) ||
    definitionsOf(each).some(({ number }) => ((behind[index] as bigint) >> BigInt(number)) & 1n);
  return {
    ...code,
    hot: code.hot.filter(wanted),
    cold: code.cold.filter((each, index) => wanted(each, code.hot.length + index)),
  };
}

/** Of the hot part with the cold part behind it. */
export function liveness(code: Code): Liveness {
  const instructions = [...code.hot, ...code.cold];
  const places = new Map<number, number>();
  instructions.forEach((each, index) => {
    if (each.op === "mark") places.set(each.mark.number, index);
  });
  const facts = instructions.map((each, index) => ({
    uses: bitsOf(usesOf(each).filter(isTemporary)),
    definitions: bitsOf(definitionsOf(each)),
    // The hot part ends by falling out.
    next: each.op === "jump" || index === code.hot.length - 1 ? undefined : index + 1,
    way: places.get(wayOf(each)?.number ?? -1),
  }));
  const before: bigint[] = instructions.map(() => 0n);
  const behind: bigint[] = instructions.map(() => 0n);
  for (let changed = true; changed;) {
    changed = false;
    for (let index = instructions.length - 1; index >= 0; index--) {
      const { uses, definitions, next, way } = facts[index] as (typeof facts)[number];
      const out = (before[next ?? -1] ?? 0n) | (before[way ?? -1] ?? 0n);
      const needed = (out & ~definitions) | uses;
      behind[index] = out;
      if (needed === before[index]) continue;
      before[index] = needed;
      changed = true;
    }
  }
  return { instructions, behind };
}

export function isTemporary(value: unknown): value is Temporary {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "temporary";
}

function bitsOf(temporaries: readonly Temporary[]): bigint {
  return temporaries.reduce((bits, { number }) => bits | (1n << BigInt(number)), 0n);
}
