import { TargetError } from "../../base/errors.js";
import { type CompositeType, type Member, resolved, type Type, type TypeNames } from "./type.js";

/** A pointer of x86-64. */
const POINTER_SIZE = 8;

/** Deeper nesting of arrays is damage: one that holds itself has no end. */
const MOST_DEEP = 32;

/**
 * A member by its name, also within anonymous structs and unions.
 *
 * @returns the member as it stands in `composite`: `bitOffset` counts from its beginning
 */
export function findMember(composite: CompositeType, name: string): Member | undefined {
  return name === "" ? undefined : search(composite, name, new Set());
}

/** @param seen one that holds itself has no end */
function search(composite: CompositeType, name: string, seen: Set<CompositeType>): Member | undefined {
  seen.add(composite);
  const anonymous: { readonly member: Member; readonly type: CompositeType }[] = [];
  for (const member of composite.members) {
    if (member.name === name) return member;
    if (member.name !== "") continue;
    const type = resolved(member.type);
    if (type.kind === "struct" || type.kind === "union") anonymous.push({ member, type });
  }
  for (const { member, type } of anonymous) {
    const found = seen.has(type) ? undefined : search(type, name, seen);
    if (found !== undefined) return { ...found, bitOffset: member.bitOffset + found.bitOffset };
  }
  return undefined;
}

/** Bytes of a type; undefined where it has no size of its own (void, functions, forward declarations). */
export function sizeOf(type: Type): number | undefined {
  let times = 1;
  let at = resolved(type);
  for (let depth = 0; at.kind === "array"; depth += 1) {
    if (depth >= MOST_DEEP) return undefined;
    times *= at.length;
    at = resolved(at.of);
  }
  if (at.kind === "pointer") return POINTER_SIZE * times;
  if (at.kind === "void" || at.kind === "function" || at.size === undefined) return undefined;
  return at.size * times;
}

/** Where a member lies, in whole bytes. */
export interface MemberPlace {
  readonly offset: number;
  readonly type: Type;
}

/**
 * Where a member of a struct lies: `placeOf(types, "task_struct", "se.vruntime")`.
 *
 * @param path members, each within the one before; no pointers are followed
 * @returns undefined where the struct or a member is not known
 * @throws TargetError it is a bit field
 */
export function placeOf(types: TypeNames, struct: string, path: string): MemberPlace | undefined {
  const type = types.named("struct", struct) ?? types.named("union", struct);
  return type && placeIn(type, path);
}

/** As {@link placeOf}, of a type that one has. */
export function placeIn(type: Type, path: string): MemberPlace | undefined {
  let at = type;
  let bits = 0;
  for (const name of path.split(".")) {
    const composite = resolved(at);
    if (composite.kind !== "struct" && composite.kind !== "union") return undefined;
    const member = findMember(composite, name);
    if (member === undefined) return undefined;
    if (member.bitSize !== undefined)
      throw new TargetError(`${path} is a bit field: it lies in no bytes of its own`);
    bits += member.bitOffset;
    at = member.type;
  }
  return { offset: bits / 8, type: at };
}
