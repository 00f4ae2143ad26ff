import assert from "node:assert/strict";
import { compileNative, type NativeHandler } from "../../../src/handlers/native/compile.js";
import { type GlobalLayout, layGlobals } from "../../../src/handlers/native/global-layout.js";
import { emit } from "../../../src/handlers/js/emit.js";
import type * as ir from "../../../src/ir/ir.js";
import { type LimitName, type Limits, parseDefinitions } from "../../../src/runtime/limits.js";
import { compileText } from "../../script/run.js";
import { outcomeIn, type Result, runInJavaScript, showGlobals } from "./javascript.js";
import { type Case, type Left, type Registers, registers, runPieces } from "./pieces.js";

/** A handler in both back ends. */
export interface Both {
  readonly program: ir.Program;
  readonly number: number;
  readonly limits: Limits;
  readonly layout: GlobalLayout;
  readonly handler: NativeHandler;
  readonly hits: readonly Registers[];
}

export function limitsOf(limits: Partial<Record<LimitName, number>> = {}): Limits {
  return parseDefinitions(Object.entries(limits).map(([name, value]) => `${name}=${String(value)}`));
}

/** Both, for the first handler of a script: `global … probe begin { … }`. @throws Error it is not native */
export function bothOf(
  text: string,
  hits: readonly Partial<Registers>[] = [{}],
  given: Partial<Record<LimitName, number>> = {},
): Both {
  const limits = limitsOf(given);
  const { program } = compileText(text, { limits: given });
  const layout = layGlobals(program, limits);
  const handler = compileNative(program, 0, layout);
  if (handler.kind === "not-native") throw new Error(handler.why);
  return { program, number: 0, limits, layout, handler, hits: hits.map(registers) };
}

export function caseOf({ handler, layout, hits, limits }: Both): Case {
  return { handler, layout, hits, mostFaults: limits.MAXFAULT };
}

/** Where the back ends differ, or the machine code leaves something behind; undefined where nothing is wrong. */
export function difference(both: Both, left: readonly Left[]): string | undefined {
  const { program, number, hits, limits, layout, handler } = both;
  const expected = runInJavaScript(program, number, hits, limits);
  for (const [index, { wrong, faults, data }] of left.entries()) {
    if (wrong !== undefined) return `hit ${String(index)}: ${wrong}`;
    const outcome = outcomeIn(data, left[index - 1]?.data, layout.probes[number] ?? 0, handler.errors);
    const got: Result = { outcome: outcome, faults, globals: showGlobals(program, layout, data) };
    const wanted = expected[index];
    if (wanted === undefined) return "a hit too many";
    // Only the first error of a probe is kept.
    const sameOutcome =
      got.outcome === wanted.outcome ||
      (index > 0 &&
        handler.errors.some(({ message }) => message === wanted.outcome) &&
        isError(got.outcome, both));
    if (!sameOutcome || got.faults !== wanted.faults || got.globals !== wanted.globals)
      return `hit ${String(index)}: ${JSON.stringify(got)}, in JavaScript ${JSON.stringify(wanted)}`;
    if (data.getBigInt64(layout.lock, true) !== 0n) return `hit ${String(index)}: the lock is held`;
  }
  return undefined;
}

function isError(outcome: string, { handler }: Both): boolean {
  return handler.errors.some(({ message }) => message === outcome);
}

/** Runs handlers by both back ends. */
export function assertSame(...all: readonly Both[]): Left[][] {
  const left = runPieces(all.map(caseOf));
  all.forEach((both, index) => {
    const wrong = difference(both, left[index] ?? []);
    assert.equal(wrong, undefined, `${String(wrong)}\n${emit(both.program).source}`);
  });
  return left;
}
