import type { Emulated } from "../arch/x86_64/emulate.js";
import type { RegisterFile } from "../arch/x86_64/registers.js";
import { type SlotCode, type SlotPoint, slotPoint } from "../arch/x86_64/slot.js";
import { type Address, offsetBy } from "../base/address.js";
import { ProbeRefused } from "../base/errors.js";
import type { Memory, Target, ThreadId } from "../targets/target.js";
import type { Location, Slot, SlotForm } from "./location.js";
import type { ProbedSpace } from "./space.js";

/** Why emulating was not possible, where the slot's form depends on it. */
export type Obstacle = Exclude<Emulated, "done">;

export function slotForm(stopAfter: boolean, because: Obstacle | undefined): SlotForm {
  const end = stopAfter ? "stopping" : "boosted";
  return because === undefined ? end : `${end}, ${because}`;
}

/**
 * Writes a slot of a location, at the first hit that needs it: the thread that hit it stands in
 * user mode at a breakpoint, the one place where code can be run in it without disturbing a system
 * call.
 *
 * @throws ProbeRefused no memory can be had, or none is near enough
 */
export function writeSlot(
  target: Target,
  thread: ThreadId,
  space: ProbedSpace,
  location: Location,
  stopAfter: boolean,
  because: Obstacle | undefined,
): Slot {
  const { mapNear } = target.capabilities;
  if (mapNear === undefined) {
    throw new ProbeRefused(location.address, "no-slot", "this target cannot hold out-of-line slots");
  }
  let near = location.address;
  // A second try where an operand, not the text, decides how near the slot must be.
  for (let attempt = 0; attempt < 2; attempt++) {
    const address = space.slots.reserve(near, (wanted, length) => {
      const start = mapNear(thread, wanted, length);
      space.guard?.slots(space.id, start, offsetBy(start, length));
      return start;
    });
    const insertsStops = space.breakpoints !== undefined;
    const options = { stopAfter, insertsStops, ...(because === undefined ? {} : { because }) };
    const code = location.displacement.buildSlot(address, options);
    if (code.kind === "out-of-reach") {
      near = code.near;
      continue;
    }
    tellExits(space, location, address, code);
    putSlot(space, address, code);
    const slot: Slot = { address, location, code, form: slotForm(stopAfter, because) };
    space.slots.enter(slot);
    location.slots.set(slot.form, slot);
    return slot;
  }
  throw new ProbeRefused(
    location.address,
    "out-of-reach",
    "what the instruction addresses is out of reach of any copy of it",
  );
}

/** Writes a slot, which nobody runs yet. @throws ProbeRefused the target cannot put its stops in */
export function putSlot(space: ProbedSpace, address: Address, code: SlotCode): void {
  space.memory.writeText(address, code.bytes);
  if (space.breakpoints === undefined) return;
  for (const stop of code.stops) space.breakpoints.insert(space.id, offsetBy(address, stop - 1));
}

/** Where a thread goes on that stands at a stop of the slot, should nobody be there to say so. */
function tellExits(space: ProbedSpace, location: Location, address: Address, code: SlotCode): void {
  for (const stop of code.stops) {
    const point = slotPoint(code, stop);
    if (point === undefined) continue;
    const at = offsetBy(address, stop - 1);
    if (point.kind !== "unfinished") space.guard?.exit(space.id, at, "jump", point.at);
    // The one form with a stop before its end: an indirect call whose target was pushed.
    else
      space.guard?.exit(space.id, at, "call", offsetBy(location.address, location.displacement.facts.length));
  }
}

/** What a program counter in a slot means; undefined where none can be. */
export function pointAt(slot: Slot, pc: Address): SlotPoint | undefined {
  return slotPoint(slot.code, pc - slot.address);
}

/** Moves the program counter (and what else shows the slot) to where the thread would be without us. */
export function settle(slot: Slot, registers: RegisterFile, memory: Memory): void {
  const point = pointAt(slot, registers.pc);
  if (point?.kind === "unfinished") point.finish(registers, memory);
  else registers.pc = point?.at ?? slot.location.address;
}
