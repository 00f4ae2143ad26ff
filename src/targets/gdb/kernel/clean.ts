import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RegisterFile } from "../../../arch/x86_64/registers.js";
import { addressOf, type Address, toBigInt } from "../../../base/address.js";
import { TargetError } from "../../../base/errors.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import { loadedAt, type Vaddr } from "../../../symbols/vaddr.js";
import type { GdbClient } from "../protocol/client.js";
import { StubError } from "../protocol/errors.js";
import { guestKprobes } from "./guest-kprobes.js";
import { leftBreakpoints } from "./left-breakpoints.js";
import { DOOR_BYTES, FILLER } from "./door.js";
import { rewindFromLeft } from "./kgdb/left.js";
import { type LeftDoor, leftDoors } from "./left-doors.js";
import { exceptionEntry, findSlide, GATE_BYTES, IDT } from "./slide.js";

/** What was found of a session that could not take its probes out. */
export interface Cleaned {
  /** Where the text is as it was again. */
  readonly restored: readonly Vaddr[];
  /** Where a breakpoint stays, since nobody knows what stood there. */
  readonly unclear: readonly Vaddr[];
  /** Exceptions that go to the kernel's own entries again. */
  readonly gates: number;
  /** Processors that had run into a breakpoint, and now stand before it. */
  readonly rewound: number;
}

const NOTHING: Cleaned = { restored: [], unclear: [], gates: 0, rewound: 0 };

/** Such packets are QEMU's; a stub within the kernel takes its breakpoints out itself. */
const QEMU_QUERY = "qqemu.sstepbits";

/** Exceptions have the vectors below this one. Intel SDM vol. 3A, 6.2. */
const EXCEPTION_VECTORS = 32;
const INT3_VECTOR = 3;

/**
 * Takes out what a killed session left in a kernel: breakpoints written to its text, detours of its
 * exceptions, and processors that stand at one. Breakpoints of the stub itself go by its being asked why the
 * target stands, QEMU's, or by our leaving, KGDB's. The target is stopped, and stays so.
 *
 * @throws TargetError the kernel is not the image's, or its text cannot be read or written
 */
export function cleanKernel(client: GdbClient, image: KernelImage): Cleaned {
  const isQemu = client.query(QEMU_QUERY) !== "";
  if (!isQemu) rewindFromLeft(client);
  client.stopReason();
  if (!isQemu) return NOTHING;
  const read = (at: Address, into: Uint8Array): number => client.readMemory(at, into);
  const slide = findSlide(read, image, client.name);
  const text = image.between("_stext", "_etext");
  if (text === undefined) throw new TargetError(`${image.path} does not say where its text is`);
  const live = readText(client, loadedAt(text.start, slide), text.end - text.start);
  const found = leftBreakpoints(image, text.start, live, guestKprobes(image, read, slide), slide);
  const doors = leftDoors(image, text.start, live, slide);
  const entries = new Map<Address, Address>();
  for (const { at, entry } of doors) entries.set(at, entry);

  const int3 = exceptionEntry(read, INT3_VECTOR);
  const int3Entry = int3 === undefined ? undefined : (entries.get(int3) ?? int3);
  const restored: Vaddr[] = [];
  const unclear: Vaddr[] = [];
  for (const { vaddr, original } of found) {
    if (original === undefined) unclear.push(vaddr);
    else {
      write(client, loadedAt(vaddr, slide), Uint8Array.of(original));
      restored.push(vaddr);
    }
  }
  const places = new Set(restored.map((vaddr) => loadedAt(vaddr, slide)));
  const rewound = moveProcessors(client, doors, int3Entry, places);
  const gates = restoreGates(client, entries);
  // Last of all: until here somebody may stand in one.
  for (const { at } of doors) write(client, at, new Uint8Array(DOOR_BYTES).fill(FILLER));
  return { restored, unclear, gates, rewound };
}

function readText(client: GdbClient, start: Address, size: number): Uint8Array {
  const saved = savedByQemu(client, start, size);
  if (saved !== undefined) return saved;
  const live = new Uint8Array(size);
  const length = client.readMemory(start, live);
  if (length === size) return live;
  const part = `${String(length)} of ${String(size)} bytes`;
  throw new TargetError(`${client.name}: of the kernel's text only ${part} can be read`);
}

/**
 * A QEMU of this machine writes memory to a file a hundred times as fast as it tells it.
 *
 * @returns undefined where it does not, or is on another machine
 */
function savedByQemu(client: GdbClient, start: Address, size: number): Uint8Array | undefined {
  const folder = mkdtempSync(join(tmpdir(), "trapline-text-"));
  const file = join(folder, "text");
  try {
    client.monitor(`memsave 0x${toBigInt(start).toString(16)} ${String(size)} "${file}"`);
    const bytes = existsSync(file) ? readFileSync(file) : undefined;
    return bytes?.length === size ? bytes : undefined;
  } catch (error) {
    if (error instanceof StubError && !error.isFinal) return undefined;
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function write(client: GdbClient, at: Address, bytes: Uint8Array): void {
  if (client.writeMemory(at, bytes) < bytes.length)
    throw new TargetError(`${client.name}: the kernel's text cannot be written`);
}

/** @returns how many led to a door */
function restoreGates(client: GdbClient, entries: ReadonlyMap<Address, Address>): number {
  let restored = 0;
  for (let vector = 0; vector < EXCEPTION_VECTORS; vector++) {
    const to = exceptionEntry((at, into) => client.readMemory(at, into), vector);
    const entry = to === undefined ? undefined : entries.get(to);
    if (entry === undefined) continue;
    const at = (IDT + vector * GATE_BYTES) as Address;
    const gate = new DataView(new ArrayBuffer(GATE_BYTES));
    client.readMemory(at, new Uint8Array(gate.buffer));
    const value = BigInt(entry);
    gate.setUint16(0, Number(BigInt.asUintN(16, value)), true);
    gate.setUint16(6, Number(BigInt.asUintN(16, value >> 16n)), true);
    gate.setUint32(8, Number(BigInt.asUintN(32, value >> 32n)), true);
    write(client, at, new Uint8Array(gate.buffer));
    restored++;
  }
  return restored;
}

/** What int3 pushes: the next instruction, CS, RFLAGS, RSP, SS. Intel SDM vol. 3A, 6.14.2. */
const FRAME_WORDS = 5;

/**
 * A processor that stands where the kernel would begin to deal with a breakpoint that is no more has executed
 * nothing but that: it is put back before it. One in a door for anything else goes on to the kernel's entry.
 *
 * @returns how many were put back
 */
function moveProcessors(
  client: GdbClient,
  doors: readonly LeftDoor[],
  int3Entry: Address | undefined,
  restored: ReadonlySet<Address>,
): number {
  let rewound = 0;
  for (const processor of client.threads()) {
    client.select(processor);
    const registers = new RegisterFile();
    client.readRegisters(registers);
    const { pc } = registers;
    const door = doors.find(({ at }) => at <= pc && pc < at + DOOR_BYTES);
    const entry = door?.entry ?? pc;
    if (entry === int3Entry && putBack(client, registers, restored)) rewound++;
    else if (door !== undefined) registers.pc = door.entry;
    if (registers.dirty) client.writeRegisters(registers);
  }
  return rewound;
}

/** @returns whether what its stack begins with is the frame of one of these breakpoints */
function putBack(client: GdbClient, registers: RegisterFile, restored: ReadonlySet<Address>): boolean {
  const frame = new DataView(new ArrayBuffer(8 * FRAME_WORDS));
  if (client.readMemory(registers.sp, new Uint8Array(frame.buffer)) < frame.byteLength) return false;
  const inKernel = (frame.getUint8(8) & 3) === 0;
  const at = addressOf(frame.getBigUint64(0, true) - 1n);
  if (!inKernel || at === undefined || !restored.has(at)) return false;
  registers.pc = at;
  registers.write("eflags", frame.getBigUint64(16, true));
  registers.write("rsp", frame.getBigUint64(24, true));
  return true;
}
