import { type Address, formatAddress, offsetBy } from "../base/address.js";
import { MemoryFault, ProbeRefused } from "../base/errors.js";
import { MAX_INSTRUCTION_LENGTH } from "../arch/x86_64/decode.js";
import { planDisplacement, POST_REFUSALS } from "../arch/x86_64/displaced.js";
import { BREAKPOINT, type Entry, Location } from "./location.js";
import type { ProbedSpace } from "./space.js";

const BREAKPOINT_BYTES = Uint8Array.of(BREAKPOINT);

export interface ArmOptions {
  /** See {@link Entry.accepts}. */
  readonly accepts?: Entry["accepts"];
  /** See {@link Entry.key}. */
  readonly key?: unknown;
  /** The first byte as the program's file has it; tells the program's own `int3` from somebody else's. */
  readonly fileByte?: number | undefined;
}

/**
 * Puts an entry at an address, and the breakpoint with it if it is the first there.
 *
 * @throws ProbeRefused the instruction cannot be displaced, overlaps a probed one, or is not free
 */
export function armAt(space: ProbedSpace, address: Address, entry: Entry, options: ArmOptions): Location {
  const location = space.locations.get(address) ?? examine(space, address, options);
  const { displacement } = location;
  if (
    displacement.kind === "copy" &&
    displacement.after.by === "nothing" &&
    entry.probe.definition.post !== undefined
  ) {
    throw new ProbeRefused(address, displacement.after.reason, POST_REFUSALS[displacement.after.reason]);
  }
  refuseShadowed(space, location, entry);
  refuseUnseenFaults(space, address, entry);
  if (!location.armed) {
    refuseOverlap(space, location);
    space.guard?.breakpoint(space.id, address, location.originalByte);
    if (space.breakpoints === undefined) space.memory.writeText(address, BREAKPOINT_BYTES);
    else space.breakpoints.insert(space.id, address);
    location.armed = true;
    space.locations.set(address, location);
  }
  location.entries = [...location.entries, entry];
  return location;
}

/**
 * Takes the breakpoint out again, if it is still there: text that somebody else replaced meanwhile
 * is not ours to restore.
 *
 * @returns false where the text is there, and somebody else's
 */
export function disarmAt(space: ProbedSpace, location: Location): boolean {
  if (!location.armed) return true;
  location.armed = false;
  if (space.breakpoints !== undefined) return space.breakpoints.remove(space.id, location.address);
  const now = new Uint8Array(1);
  if (space.memory.readSome(location.address, now) === 0) return true;
  if (now[0] !== BREAKPOINT) return false;
  try {
    space.memory.writeText(location.address, Uint8Array.of(location.originalByte));
  } catch (error) {
    if (!(error instanceof MemoryFault)) throw error; // unmapped since it was read
  }
  return true;
}

/** Is the breakpoint instruction that trapped here, where none of ours is now, the program's own? */
export function isProgramsOwn(space: ProbedSpace, at: Address): boolean {
  const now = new Uint8Array(1);
  return (space.memory.readSome(at, now) === 1 && now[0] === BREAKPOINT) || isLongBreakpoint(space, at);
}

/** `int 3` in two bytes, which traps like `int3`; `at` is its second byte. */
function isLongBreakpoint(space: ProbedSpace, at: Address): boolean {
  const first = offsetBy(at, -1);
  const bytes = new Uint8Array(2);
  if (space.memory.readSome(first, bytes) < 2 || bytes[1] !== 0x03) return false;
  // Between the trap and now it may have been probed.
  const location = space.locations.get(first);
  return (location?.armed === true ? location.originalByte : bytes[0]) === 0xcd;
}

function examine(space: ProbedSpace, address: Address, options: ArmOptions): Location {
  const bytes = originalText(space, address);
  const first = bytes[0];
  if (first === undefined) throw new ProbeRefused(address, "unmapped", "no memory is mapped there");
  if (first === BREAKPOINT && options.fileByte !== undefined && options.fileByte !== BREAKPOINT) {
    throw new ProbeRefused(
      address,
      "foreign-breakpoint",
      "another tracer's breakpoint (a kernel uprobe?) is already there",
    );
  }
  const displacement = planDisplacement(bytes, address);
  if (displacement.kind === "refused")
    throw new ProbeRefused(address, displacement.reason, displacement.detail);
  return new Location(space.id, address, first, displacement);
}

/** Text as it would be without us: our own breakpoints show the bytes they replaced. */
function originalText(space: ProbedSpace, address: Address): Uint8Array {
  const bytes = new Uint8Array(MAX_INSTRUCTION_LENGTH);
  const length = space.memory.readSome(address, bytes);
  for (let offset = 0; offset < length; offset++) {
    const neighbour = space.locations.get(offsetBy(address, offset));
    if (neighbour?.armed === true) bytes[offset] = neighbour.originalByte;
  }
  return bytes.subarray(0, length);
}

/**
 * A call that is done for the program pushes no return address to a shadow stack, and a return pops none:
 * the program would die at the next return.
 */
function refuseShadowed(space: ProbedSpace, { address, displacement }: Location, { probe }: Entry): void {
  const { flow } = displacement.facts;
  const differs = flow === "call" || (flow === "return" && probe.definition.post !== undefined);
  if (differs && space.hasShadowStacks?.(space.id) === true)
    throw new ProbeRefused(
      address,
      "shadow-stack",
      "the program has shadow stacks, which only the call or the return itself may change",
    );
}

/** Fault phases that would never be called must not seem to be waiting for a fault. */
function refuseUnseenFaults(space: ProbedSpace, address: Address, { probe }: Entry): void {
  const { fault, postOn } = probe.definition;
  if (space.hidesFaults !== undefined && (fault !== undefined || postOn === "both"))
    throw new ProbeRefused(address, "unseen-fault", space.hidesFaults);
}

function refuseOverlap(space: ProbedSpace, location: Location): void {
  for (let distance = 1; distance < MAX_INSTRUCTION_LENGTH; distance++) {
    const before = space.locations.get(offsetBy(location.address, -distance));
    const behind = space.locations.get(offsetBy(location.address, distance));
    const overlapped =
      (before?.armed === true && distance < before.displacement.facts.length && before) ||
      (behind?.armed === true && distance < location.displacement.facts.length && behind);
    if (overlapped) {
      const other = formatAddress(overlapped.address);
      throw new ProbeRefused(
        location.address,
        "inside-instruction",
        `it overlaps the instruction probed at ${other}`,
      );
    }
  }
}
