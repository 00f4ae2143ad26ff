import { type Address, offsetBy } from "../../../base/address.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import { type LoadBias, loadedAt, type Vaddr } from "../../../symbols/vaddr.js";

/** A detour that a session had made of an exception, in the room between functions: see Doors. */
export interface LeftDoor {
  readonly at: Address;
  /** Where it leads: the kernel's own entry. */
  readonly entry: Address;
}

/** What fills the room between functions. */
export const FILLER = 0xcc;
/** `cmp al, [rip + d]`, `jmp d`. */
const LOOK = [0x3a, 0x05] as const;
const JUMP_AT = 6;
const JUMP = 0xe9;
export const DOOR_BYTES = 11;

/** Doors stand where the image has nothing but filler. */
export function leftDoors(image: KernelImage, start: Vaddr, live: Uint8Array, slide: LoadBias): LeftDoor[] {
  const linked = image.bytesAt(start, live.length);
  const view = new DataView(live.buffer, live.byteOffset, live.length);
  const doors: LeftDoor[] = [];
  for (let at = live.indexOf(LOOK[0]); at >= 0; at = live.indexOf(LOOK[0], at + 1)) {
    if (at + DOOR_BYTES > live.length) break;
    const isDoor = live[at + 1] === LOOK[1] && live[at + JUMP_AT] === JUMP;
    if (!isDoor || !linked.subarray(at, at + DOOR_BYTES).every((byte) => byte === FILLER)) continue;
    const place = loadedAt((start + at) as Vaddr, slide);
    doors.push({ at: place, entry: offsetBy(place, DOOR_BYTES + view.getInt32(at + JUMP_AT + 1, true)) });
  }
  return doors;
}
