import type * as ir from "../../ir/ir.js";
import { GENERAL_REGISTERS, type General } from "../../arch/x86_64/assembler.js";
import { type Allocation, allocate, entriesOf, fixedOf } from "./allocate.js";
import type { Code } from "./code.js";
import { emitPiece, type Frame, frameOf, MOST_STACK, type Piece, type Place } from "./emit.js";
import type { GlobalLayout } from "./global-layout.js";
import { Refusal } from "./refusal.js";
import { type Built, HandlerBuilder, type HandlerError } from "./statements.js";
import { tidy } from "./tidy.js";

/** A handler as machine code, to be put down at as many places as it is wanted. */
export interface NativeHandler {
  readonly kind: "native";
  /** Script errors by their numbers, the first being 1: see {@link PROBE.firstError}. */
  readonly errors: readonly HandlerError[];
  /** Bytes below the red zone that it may use. */
  readonly stackBytes: number;
  assemble(place: Place): Piece;
}

export interface NotNative {
  readonly kind: "not-native";
  /** Half a sentence: what this back end does not know, and where it stands. */
  readonly why: string;
}

/** No more can be pushed on {@link MOST_STACK} bytes. */
const MOST_REGISTERS = MOST_STACK / 8;

/**
 * Compiles a handler to machine code that can stand in the way of any thread of the target: it is begun
 * with the registers and flags of the probed instruction and the red zone skipped, and leaves all of them
 * as they were, having fallen out of its end. It executes no more than MAXACTION statements, pushes no more
 * than {@link MOST_STACK} bytes, writes nothing but its stack and the data, and touches no vector register.
 *
 * What it means is what handlers/js makes of it, for a hit of a thread before the first instruction of a
 * function where it asks for arguments; MAXFAULT is for those to keep who resume its faults.
 *
 * @param handler number of the handler in the program
 * @param layout of the same program
 */
export function compileNative(
  program: ir.Program,
  handler: number,
  layout: GlobalLayout,
): NativeHandler | NotNative {
  try {
    return compile(program, handler, layout);
  } catch (error) {
    if (error instanceof Refusal) return { kind: "not-native", why: error.message };
    throw error;
  }
}

function compile(program: ir.Program, handler: number, layout: GlobalLayout): NativeHandler {
  const alone = layout.locking.has(handler);
  const build = (counting: boolean, copied: ReadonlySet<General>): Built => {
    const built = new HandlerBuilder(program, handler, layout, { alone, counting, copied }).build();
    return { ...built, code: tidy(built.code) };
  };
  // The flags are kept in rax.
  const fewest = new Set<General>(["rax"]);
  const { most } = build(false, fewest);
  const counting = most === undefined || most > layout.limits.MAXACTION;
  for (const copied of [fewest, taken(build(counting, fewest).code), new Set(GENERAL_REGISTERS)]) {
    const { code, errors } = build(counting, copied);
    const fitted = fit(code);
    if (fitted === undefined) continue;
    const { allocation, frame } = fitted;
    return {
      kind: "native",
      errors,
      stackBytes: frame.most,
      assemble: (place) => emitPiece(code, allocation, frame, place),
    };
  }
  throw new Refusal(`more values at a time than ${String(MOST_STACK)} bytes of stack hold`, "");
}

/** Registers that code reads as they were, although instructions of it insist on having them. */
function taken(code: Code): Set<General> {
  const fixed = fixedOf(code);
  return new Set<General>(["rax", ...[...entriesOf(code)].filter((each) => fixed.has(each))]);
}

function fit(code: Code): { readonly allocation: Allocation; readonly frame: Frame } | undefined {
  const fixed = fixedOf(code);
  if ([...entriesOf(code)].some((each) => fixed.has(each))) return undefined;
  const allocation = allocate(code, MOST_REGISTERS);
  if (allocation === undefined) return undefined;
  const frame = frameOf(code, allocation);
  return frame.most <= MOST_STACK ? { allocation, frame } : undefined;
}
