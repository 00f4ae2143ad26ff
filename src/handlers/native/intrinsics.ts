import type * as ir from "../../ir/ir.js";
import { argumentLocation, RETURN_VALUE_REGISTER } from "../../arch/x86_64/arguments.js";
import { registerPart } from "../../arch/x86_64/register-names.js";
import type { Value } from "./code.js";
import { constantOf } from "./fold.js";

type Node = Extract<ir.Expression, { kind: "intrinsic" }>;

/** What intrinsics are made of. */
export interface Parts {
  register(name: string): Value;
  probedAddress(): Value;
  bits(of: Value, offset: number, width: number, signed: boolean): Value;
  load(address: Value, bytes: 1 | 2 | 4 | 8, signed: boolean): Value;
  plus(left: Value, right: number): Value;
  value(of: ir.Expression): Value;
  /** Ends what is under way by a script error. */
  raise(message: string): Value;
}

/** Arguments of a function, by how their bits are taken. */
const ARGUMENTS: Readonly<Record<string, readonly [bits: number, signed: boolean]>> = {
  int_arg: [32, true],
  s32_arg: [32, true],
  uint_arg: [32, false],
  u32_arg: [32, false],
  long_arg: [64, true],
  longlong_arg: [64, true],
  s64_arg: [64, true],
  ulong_arg: [64, false],
  ulonglong_arg: [64, false],
  u64_arg: [64, false],
  pointer_arg: [64, false],
};

const INTEGERS: Readonly<Record<string, readonly [bytes: 1 | 2 | 4 | 8, signed: boolean]>> = {
  char: [1, true],
  int8: [1, true],
  uint8: [1, false],
  short: [2, true],
  int16: [2, true],
  ushort: [2, false],
  uint16: [2, false],
  int: [4, true],
  int32: [4, true],
  uint: [4, false],
  uint32: [4, false],
  long: [8, true],
  int64: [8, true],
  ulong: [8, false],
  uint64: [8, false],
};

/** An argument with a higher number is a script error, see handlers/js/library.ts. */
const MOST_ARGUMENTS = 64;

/**
 * The intrinsics that are registers, numbers and reads of memory, at a function's first instruction.
 *
 * @returns undefined for any other
 */
export function intrinsicValue(node: Node, parts: Parts): Value | undefined {
  const { name } = node;
  const [first] = node.arguments;
  switch (name) {
    case "asmlinkage":
    case "fastcall":
      return { kind: "constant", value: 0 };
    case "uaddr":
    case "addr":
      return parts.probedAddress();
    case "returnval":
      return parts.register(RETURN_VALUE_REGISTER);
    case "register":
    case "u_register":
      return first?.kind === "string" ? registerByName(first.value, name === "register", parts) : undefined;
    case "error":
      return first?.kind === "string" ? parts.raise(first.value) : undefined;
    case "kernel_pointer":
      return first === undefined ? undefined : parts.load(parts.value(first), 8, false);
    default:
      return first === undefined ? undefined : byTable(name, first, parts);
  }
}

function byTable(name: string, first: ir.Expression, parts: Parts): Value | undefined {
  const asked = ARGUMENTS[name];
  if (asked !== undefined) return argument(constantOf(first), asked, parts);
  // A kernel's address faults for a program by itself.
  const read = INTEGERS[/^(?:user|kernel)_(?<type>\w+)$/.exec(name)?.groups?.["type"] ?? ""];
  return read === undefined ? undefined : parts.load(parts.value(first), ...read);
}

function registerByName(name: string, signed: boolean, parts: Parts): Value | undefined {
  const part = registerPart(name);
  return part === undefined
    ? undefined
    : parts.bits(parts.register(part.register), part.shift, part.bits, signed);
}

function argument(
  number: bigint | undefined,
  [bits, signed]: readonly [number, boolean],
  parts: Parts,
): Value | undefined {
  if (number === undefined || number < 1n || number > MOST_ARGUMENTS) return undefined;
  const location = argumentLocation(Number(number));
  const value =
    location.kind === "register"
      ? parts.register(location.register)
      : parts.load(parts.plus(parts.register("rsp"), location.offset), 8, false);
  return parts.bits(value, 0, bits, signed);
}
