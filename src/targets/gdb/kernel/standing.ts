import type { Address } from "../../../base/address.js";
import { TargetError } from "../../../base/errors.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import type { Vaddr } from "../../../symbols/vaddr.js";
import { BREAKPOINT_VECTOR } from "./trap-sense.js";
import { GateTable } from "./idt.js";
import type { Machine } from "./machine.js";
import { lookThroughDoors } from "./left-doors.js";
import { findSlide, IDT } from "./slide.js";

/** How long one look at a kernel that is still booting is apart from the next; milliseconds. */
const LOOK_EVERY = 20;
/** A kernel that is not there after so long does not come; milliseconds. */
const LONGEST_BOOT = 180_000;
/** One that deals with exceptions and is not that of the image does not become it; milliseconds. */
const LONGEST_STRANGE = 2000;
/** Kernels are moved by multiples of that. arch/x86/Kconfig: CONFIG_PHYSICAL_ALIGN is at least 2 MiB. */
const SLIDE_STEP = 0x20_0000;
/** From here on the kernel's text is as it stays. include/linux/kernel.h: SYSTEM_SCHEDULING. */
const TEXT_IS_FINAL = 1;

/** The names of the entry for `int3`, newest first. */
const BREAKPOINT_ENTRIES = ["asm_exc_int3", "int3"];

/** What a kernel must be found by. */
export interface Standing {
  /** What is added to an address of the image. */
  readonly slide: number;
  readonly gates: GateTable;
  /** A tracer that was killed has left what it had put into the kernel. */
  readonly hasLeftovers: boolean;
}

/**
 * Finds the kernel of a machine that stands still: its slide, from where its descriptor for `int3` leads.
 * Where it is still booting it is let run, a little at a time, until it has all that and has patched its text.
 *
 * @throws TargetError it never comes, or it is not the kernel of the image
 */
export function findKernel(machine: Machine, image: KernelImage): Standing {
  const entry = BREAKPOINT_ENTRIES.map((name) => image.symbol(name)).find((vaddr) => vaddr !== undefined);
  if (entry === undefined)
    throw new TargetError(
      `${image.path} has no ${BREAKPOINT_ENTRIES.join(" or ")}: where it deals with int3 is not known`,
    );
  const begun = performance.now();
  let strangeSince = Infinity;
  for (;;) {
    const gates = readGates(machine);
    const hasLeftovers = gates !== undefined && lookThroughDoors(machine, gates) > 0;
    const slide = gates === undefined ? undefined : slideOf(machine, image, gates, entry);
    if (gates !== undefined && slide !== undefined && isUp(machine, image, slide))
      return { slide, gates, hasLeftovers };
    const now = performance.now();
    strangeSince = gates === undefined || slide !== undefined ? Infinity : Math.min(strangeSince, now);
    if (now >= begun + LONGEST_BOOT || now >= strangeSince + LONGEST_STRANGE) {
      // It knows what to say of a machine without the kernel.
      findSlide((at, into) => machine.read(at, into), image, machine.client.name);
      throw new TargetError(`${machine.client.name}: the kernel does not come up`);
    }
    machine.go();
    const stopped = machine.wait(performance.now() + LOOK_EVERY) ?? machine.halt();
    if (stopped !== undefined && stopped.kind !== "stopped")
      throw new TargetError(`${machine.client.name}: the machine ended before its kernel was up`);
  }
}

function readGates(machine: Machine): GateTable | undefined {
  const gates = GateTable.empty();
  const whole = machine.read(IDT, gates.bytes) === gates.bytes.length;
  return whole && gates.isPresent(BREAKPOINT_VECTOR) ? gates : undefined;
}

function slideOf(machine: Machine, image: KernelImage, gates: GateTable, entry: Vaddr): number | undefined {
  const slide = gates.entry(BREAKPOINT_VECTOR) - entry;
  return slide % SLIDE_STEP === 0 && isImageOf(machine, image, slide) ? slide : undefined;
}

/** Does the kernel in memory say of itself what the image says? */
function isImageOf(machine: Machine, image: KernelImage, slide: number): boolean {
  const at = image.symbol("linux_banner");
  if (at === undefined) return true;
  const expected = Buffer.from(image.banner, "latin1");
  const bytes = new Uint8Array(Math.min(expected.length, 200));
  const got = machine.read((at + slide) as Address, bytes);
  return got === bytes.length && expected.subarray(0, bytes.length).equals(bytes);
}

function isUp(machine: Machine, image: KernelImage, slide: number): boolean {
  const at = image.symbol("system_state");
  if (at === undefined) return true;
  const bytes = new Uint8Array(4);
  return (
    machine.read((at + slide) as Address, bytes) === 4 &&
    new DataView(bytes.buffer).getInt32(0, true) >= TEXT_IS_FINAL
  );
}
