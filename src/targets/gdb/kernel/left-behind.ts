import { type Address, offsetBy } from "../../../base/address.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import { type LoadBias, unloadedFrom, type Vaddr } from "../../../symbols/vaddr.js";
import { type Door, DOOR_BYTES, doorAt, FILLER, LOOK } from "./door.js";
import { ExceptionFrame } from "./exception-frame.js";
import { EXCEPTION_VECTORS, type GateTable } from "./idt.js";
import { guestKprobes } from "./guest-kprobes.js";
import type { Machine } from "./machine.js";
import { IDT } from "./slide.js";
import { BREAKPOINT_VECTOR } from "./trap-sense.js";

const BREAKPOINT = 0xcc;
const CHUNK = 16_384;
/** Bytes beside a breakpoint that must be as in the image, lest the kernel itself has patched there. */
const NEIGHBOURS = 3;
/** Bytes that are looked at beside one. */
const BESIDE = 16;

/** What was found in a kernel that a tracer was killed over. */
export interface LeftBehind {
  readonly breakpoints: readonly Address[];
  readonly doors: number;
}

/**
 * Makes a table of descriptors be the kernel's own again, where descriptors still lead to doors of a tracer
 * that is no more.
 *
 * @returns those doors
 */
export function lookThroughDoors(machine: Machine, gates: GateTable): Door[] {
  const doors: Door[] = [];
  const code = new Uint8Array(DOOR_BYTES);
  for (let vector = 0; vector < EXCEPTION_VECTORS; vector++) {
    if (!gates.isPresent(vector)) continue;
    const at = gates.entry(vector);
    const entry = machine.read(at, code) === DOOR_BYTES ? doorAt(code, at) : undefined;
    if (entry === undefined) continue;
    doors.push({ vector, at, entry });
    gates.redirect(vector, entry);
  }
  return doors;
}

/**
 * Takes out what a tracer that was killed left in a kernel. Its breakpoints are where the text has an `int3`
 * that the image does not, with nothing else changed beside it, and no kprobe of the guest's own.
 *
 * @param gates as {@link lookThroughDoors} left them
 */
export function cleanUp(
  machine: Machine,
  image: KernelImage,
  slide: number,
  gates: GateTable,
  doors: readonly Door[],
): LeftBehind {
  const breakpoints: Address[] = [];
  const bias = slide as LoadBias;
  const own = guestKprobes(image, (at, into) => machine.read(at, into), bias);
  const everyDoor = new Set(doors.map(({ at }) => at));
  const entries = new Set(Array.from({ length: EXCEPTION_VECTORS }, (_, vector) => gates.entry(vector)));
  for (const { start, end } of image.text) {
    for (let at: Vaddr = start; at < end; at = (at + CHUNK) as Vaddr) {
      // Read with what stands beside it.
      const first = Math.max(start, at - BESIDE) as Vaddr;
      const length = Math.min(CHUNK + 2 * BESIDE, end - first);
      const live = new Uint8Array(length);
      const from = (first + slide) as Address;
      const got = machine.read(from, live);
      const linked = image.bytesAt(first, length);
      // Doors to which no descriptor leads now.
      for (
        let index = live.indexOf(LOOK[0]);
        index >= 0 && index + DOOR_BYTES <= got;
        index = live.indexOf(LOOK[0], index + 1)
      ) {
        const entry = doorAt(live.subarray(index, index + DOOR_BYTES), offsetBy(from, index));
        if (entry !== undefined && entries.has(entry)) everyDoor.add(offsetBy(from, index));
      }
      for (
        let index = live.indexOf(BREAKPOINT, BESIDE);
        index >= 0;
        index = live.indexOf(BREAKPOINT, index + 1)
      ) {
        const byte = linked[index];
        if (index + BESIDE > got || byte === undefined || byte === BREAKPOINT) continue;
        if (!isAlone(live, linked, index) || own.has(unloadedFrom(offsetBy(from, index), bias))) continue;
        if (machine.write(offsetBy(from, index), Uint8Array.of(byte)))
          breakpoints.push(offsetBy(from, index));
        live[index] = byte;
      }
    }
  }
  leadOut(machine, doors, new Set(breakpoints));
  if (doors.length > 0) machine.write(IDT, gates.bytes);
  for (const at of everyDoor) machine.write(at, new Uint8Array(DOOR_BYTES).fill(FILLER));
  return { breakpoints, doors: everyDoor.size };
}

/** The kernel patches its text when it boots, and fills what is left over with `int3`: then its neighbours differ, too. */
function isAlone(live: Uint8Array, linked: Uint8Array, index: number): boolean {
  for (let distance = 1; distance <= NEIGHBOURS; distance++)
    if (live[index + distance] !== linked[index + distance]) return false;
  return isSame(live, linked, index - NEIGHBOURS, index) || isBehindEntry(live, index);
}

function isSame(live: Uint8Array, linked: Uint8Array, from: number, to: number): boolean {
  for (let index = from; index < to; index++) if (live[index] !== linked[index]) return false;
  return true;
}

/** At the entries of functions stands a nop where the image has a call. */
const ENTRY = [0x0f, 0x1f, 0x44, 0x00, 0x00];

function isBehindEntry(live: Uint8Array, index: number): boolean {
  return ENTRY.every((byte, offset) => live[index - ENTRY.length + offset] === byte);
}

/** A processor that stands at a door has hit a breakpoint that is out now: it executes what is there. */
function leadOut(machine: Machine, doors: readonly Door[], removed: ReadonlySet<Address>): void {
  const door = doors.find(({ vector }) => vector === BREAKPOINT_VECTOR);
  if (door === undefined) return;
  for (const vcpu of machine.vcpus) {
    machine.fetch(vcpu);
    const { pc, sp } = vcpu.actual;
    if ((pc < door.at || pc >= door.at + DOOR_BYTES) && pc !== door.entry) continue;
    const frame = new ExceptionFrame(sp, BREAKPOINT_VECTOR);
    machine.read(sp, frame.bytes);
    const at = offsetBy(frame.pc, -1);
    vcpu.wanted.pc = door.entry;
    if (frame.fromUser || !removed.has(at)) continue;
    vcpu.wanted.pc = at;
    vcpu.wanted.sp = frame.stack;
    vcpu.wanted.write("eflags", frame.flags);
  }
}
