import type { Formula, LocalVariable, Location } from "../types/location.js";
import type { Vaddr } from "../vaddr.js";
import type { Entries, Entry } from "./entries.js";
import { constantBytes, type ExpressionContext, locationOf, valueOf } from "./expression.js";
import { ATTRIBUTE, TAG } from "./facts.js";
import { constant } from "./formulas.js";
import { expressionAt } from "./location-lists.js";
import { holds, rangesOf } from "./ranges.js";
import { baseOf, type DwarfTypes } from "./types.js";

/** Scopes in one another; a damaged file has no end of them. */
const MOST_DEEP = 100;
/** Variables that one place can have. */
const MOST_VARIABLES = 10_000;

/** Where the frame of a place begins, by whatever tells it: see ExpressionContext. */
export type CallFrameAt = (vaddr: Vaddr) => Formula | undefined;

/**
 * The variables that a function has at a place of its code: those of the innermost scope first. Functions
 * that were put into this one there are scopes of it.
 *
 * @param subprogram whose code the place is in
 * @throws TargetError damaged
 */
export function variablesAt(
  types: DwarfTypes,
  subprogram: Entry,
  vaddr: Vaddr,
  callFrame: CallFrameAt,
): readonly LocalVariable[] {
  const { entries } = types;
  const scopes = scopesAt(entries, subprogram, vaddr);
  const context = contextOf(entries, subprogram, vaddr, callFrame);
  const found: LocalVariable[] = [];
  /** Descriptions of those that were found: the abstract instances of functions. */
  const described = new Set<number>();
  const add = (entry: Entry, owner: string): void => {
    if (entry.tag !== TAG.formalParameter && entry.tag !== TAG.variable) return;
    const origin = entries.reference(entry, ATTRIBUTE.abstractOrigin);
    if (origin !== undefined) described.add(origin);
    const variable = variableOf(types, entry, vaddr, context, owner);
    if (variable !== undefined && found.length < MOST_VARIABLES) found.push(variable);
  };
  for (const scope of scopes.reverse()) {
    for (const entry of entries.children(scope.entry)) add(entry, scope.function);
    const abstract = entries.reference(scope.entry, ATTRIBUTE.abstractOrigin);
    if (abstract === undefined || scope.entry.tag === TAG.lexicalBlock) continue;
    // An instance leaves out what nothing is left of.
    for (const entry of entries.children(entries.at(abstract)))
      if (!described.has(entry.offset)) add(entry, scope.function);
  }
  return found;
}

interface Scope {
  readonly entry: Entry;
  /** The function that its variables belong to. */
  readonly function: string;
}

/** From the function itself inwards. */
function scopesAt(entries: Entries, subprogram: Entry, vaddr: Vaddr): Scope[] {
  const scopes: Scope[] = [{ entry: subprogram, function: entries.nameOf(subprogram) }];
  for (let depth = 0; depth < MOST_DEEP; depth += 1) {
    const outer = scopes.at(-1);
    const inner = outer && innerScope(entries, outer, vaddr);
    if (inner === undefined) break;
    scopes.push(inner);
  }
  return scopes;
}

function innerScope(entries: Entries, outer: Scope, vaddr: Vaddr): Scope | undefined {
  for (const entry of entries.children(outer.entry)) {
    const isInlined = entry.tag === TAG.inlinedSubroutine;
    if (!isInlined && entry.tag !== TAG.lexicalBlock) continue;
    if (!holds(rangesOf(entries, entry) ?? [], vaddr)) continue;
    return { entry, function: isInlined ? entries.nameOf(entry) : outer.function };
  }
  return undefined;
}

function variableOf(
  types: DwarfTypes,
  entry: Entry,
  vaddr: Vaddr,
  context: ExpressionContext,
  owner: string,
): LocalVariable | undefined {
  const { entries } = types;
  const name = entries.nameOf(entry);
  // `extern` within a function: it is found by its name, as others of the whole kernel are.
  if (
    name === "" ||
    (entries.flag(entry, ATTRIBUTE.declaration) && !entry.attributes.has(ATTRIBUTE.location))
  )
    return undefined;
  const { location, isExact } = placeOf(entries, entry, vaddr, context);
  return {
    name,
    get type() {
      return types.typeOf(entry);
    },
    isParameter: entry.tag === TAG.formalParameter,
    function: owner,
    location,
    isExact,
  };
}

const OPTIMISED_OUT: Location = { kind: "absent", why: "the compiler has optimised it out" };

/** Where an entry's own attributes say that it is. */
export function placeOf(
  entries: Entries,
  entry: Entry,
  vaddr: Vaddr,
  context: ExpressionContext,
): { readonly location: Location; readonly isExact: boolean } {
  const holder = entries.described(entry, ATTRIBUTE.location);
  const value = holder?.attributes.get(ATTRIBUTE.location);
  if (holder !== undefined && value !== undefined) {
    const found = expressionAt(entries, holder.unit, value, vaddr);
    if (found === undefined)
      return {
        location: { kind: "absent", why: "the compiler keeps it elsewhere in the function only" },
        isExact: true,
      };
    return { location: locationOf(found.bytes, found.what, found.at, context), isExact: found.isExact };
  }
  const fixed = entries.described(entry, ATTRIBUTE.constValue)?.attributes.get(ATTRIBUTE.constValue);
  if (fixed?.kind === "constant")
    return { location: { kind: "value", value: constant(fixed.value) }, isExact: true };
  if (fixed?.kind === "block") return { location: constantBytes(fixed.bytes), isExact: true };
  return { location: OPTIMISED_OUT, isExact: true };
}

/** What expressions of a function's variables may ask. */
export function contextOf(
  entries: Entries,
  subprogram: Entry,
  vaddr: Vaddr,
  callFrame: CallFrameAt,
): ExpressionContext {
  const { unit } = subprogram;
  const context: ExpressionContext = {
    wide: unit.wide,
    // A frame base that is counted from itself has no end.
    frameBase: () => frameBaseOf(entries, subprogram, vaddr, { ...context, frameBase: () => undefined }),
    callFrame: () => callFrame(vaddr),
    addressAt: (index) => entries.addressAt(unit, index),
    baseType: (offset) => baseOf(entries, unit.offset + offset),
  };
  return context;
}

function frameBaseOf(
  entries: Entries,
  subprogram: Entry,
  vaddr: Vaddr,
  context: ExpressionContext,
): Formula | undefined {
  const value = subprogram.attributes.get(ATTRIBUTE.frameBase);
  const found = value && expressionAt(entries, subprogram.unit, value, vaddr);
  return found && valueOf(found.bytes, found.what, found.at, context);
}
