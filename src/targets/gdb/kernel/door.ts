import { type Address, offsetBy } from "../../../base/address.js";

/** `cmp al, [rip + d]`: whoever goes through has its flags in the frame, and they are put back from there. */
export const LOOK = [0x3a, 0x05] as const;
const LOOK_OPERAND = 2;
/** Bytes to behind the look, where the machine stops. */
export const LOOK_BYTES = 6;
const JUMP = 0xe9;
/** Bytes of a door. */
export const DOOR_BYTES = 11;
/** What stood there before. */
export const FILLER = 0xcc;

/** Two instructions in front of where the kernel deals with an exception: see Doors. */
export interface Door {
  readonly vector: number;
  readonly at: Address;
  /** Where the kernel deals with the exception. */
  readonly entry: Address;
}

/** @param watched the byte that it looks at */
export function doorCode({ at, entry }: Door, watched: Address): Uint8Array {
  const code = new Uint8Array(DOOR_BYTES);
  const view = new DataView(code.buffer);
  code.set(LOOK);
  view.setInt32(LOOK_OPERAND, watched - (at + LOOK_BYTES), true);
  code[LOOK_BYTES] = JUMP;
  view.setInt32(LOOK_BYTES + 1, entry - (at + DOOR_BYTES), true);
  return code;
}

/** @returns where a door leads; undefined where the code is none */
export function doorAt(code: Uint8Array, at: Address): Address | undefined {
  if (code[0] !== LOOK[0] || code[1] !== LOOK[1] || code[LOOK_BYTES] !== JUMP) return undefined;
  const view = new DataView(code.buffer, code.byteOffset, DOOR_BYTES);
  return offsetBy(at, DOOR_BYTES + view.getInt32(LOOK_BYTES + 1, true));
}
