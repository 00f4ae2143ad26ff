import type { Address } from "../../../base/address.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import { type LoadBias, loadedAt, type Vaddr } from "../../../symbols/vaddr.js";
import { DOOR_BYTES, doorAt, FILLER, LOOK } from "./door.js";
import { EXCEPTION_VECTORS, type GateTable } from "./idt.js";
import type { Machine } from "./machine.js";

/** A detour that a session had made of an exception, in the room between functions: see Doors. */
export interface LeftDoor {
  readonly at: Address;
  /** Where it leads: the kernel's own entry. */
  readonly entry: Address;
}

/** Doors of which the text tells: they stand where the image has nothing but filler. */
export function leftDoors(image: KernelImage, start: Vaddr, live: Uint8Array, slide: LoadBias): LeftDoor[] {
  const linked = image.bytesAt(start, live.length);
  const doors: LeftDoor[] = [];
  for (let offset = live.indexOf(LOOK[0]); offset >= 0; offset = live.indexOf(LOOK[0], offset + 1)) {
    const end = offset + DOOR_BYTES;
    if (end > live.length) break;
    const at = loadedAt((start + offset) as Vaddr, slide);
    const entry = doorAt(live.subarray(offset, end), at);
    if (entry === undefined || !linked.subarray(offset, end).every((byte) => byte === FILLER)) continue;
    doors.push({ at, entry });
  }
  return doors;
}

/**
 * Makes a copy of the descriptors be the kernel's own again, where descriptors still lead to doors of a tracer that
 * is no more.
 *
 * @returns how many did
 */
export function lookThroughDoors(machine: Machine, gates: GateTable): number {
  let doors = 0;
  const code = new Uint8Array(DOOR_BYTES);
  for (let vector = 0; vector < EXCEPTION_VECTORS; vector++) {
    if (!gates.isPresent(vector)) continue;
    const at = gates.entry(vector);
    const entry = machine.read(at, code) === DOOR_BYTES ? doorAt(code, at) : undefined;
    if (entry === undefined) continue;
    doors++;
    gates.redirect(vector, entry);
  }
  return doors;
}
