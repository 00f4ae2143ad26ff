import { type Address, offsetBy } from "../../../base/address.js";
import { BREAK, type GdbClient } from "../protocol/client.js";
import { type Door, DOOR_BYTES, doorCode, FILLER, LOOK_BYTES } from "./door.js";
import { type GateTable, gateAddress } from "./idt.js";
import type { Vcpu } from "./machine.js";
import { findPadding } from "./padding.js";
import { GATE_BYTES, IDT, type ReadMemory } from "./slide.js";
import { BREAKPOINT_VECTOR, type TrapSense } from "./trap-sense.js";

/** Exceptions that an instruction raises by itself, and what may come before or behind it: #DB, NMI. */
const STEP_VECTORS = [0, 1, 2, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19, 21];

/** Vectors up to the last of them. */
const REDIRECTED = 22;

/** What doors are built from. */
export interface DoorRoom {
  /** Text that is mapped also while a user's page tables are in use (KPTI). */
  readonly entryText: { readonly start: Address; readonly end: Address };
  readonly text: { readonly start: Address; readonly end: Address };
}

/**
 * Stops a machine at exceptions by **watching a byte that only the exception reads**: the descriptor of the
 * exception leads to a door of two instructions in the room between functions, which looks at the watched
 * byte and goes on to the kernel's own entry.
 *
 * Why so: at every stop for a breakpoint QEMU throws away all the code that it has translated, at one for a
 * watchpoint it does not. A hit that way costs a tenth. (To watch the descriptor itself, QEMU reads it in the
 * middle of delivering the exception, and dies of an assertion.) Should we die, the doors still lead to
 * the kernel.
 */
export class Doors implements TrapSense {
  readonly watches = true;
  private readonly byStop = new Map<Address, Door>();
  private readonly doors = new Map<number, Door>();
  private readonly redirected: GateTable;
  private armed: readonly number[] = [];

  private constructor(
    private readonly client: GdbClient,
    private readonly write: (at: Address, bytes: Uint8Array) => boolean,
    private readonly gates: GateTable,
    doors: readonly Door[],
    private readonly watched: Address,
  ) {
    this.redirected = gates.copy();
    for (const door of doors) {
      this.doors.set(door.vector, door);
      this.byStop.set(offsetBy(door.at, LOOK_BYTES), door);
      // Stopped by somebody else, just before; or behind the jump: a processor of QEMU that was at a door when
      // another one's stop was told stops one jump too late the next time. All is still as it was.
      this.byStop.set(door.at, door);
      this.byStop.set(door.entry, door);
      this.redirected.redirect(door.vector, door.at);
    }
  }

  /**
   * Builds them, and stops the machine at `int3` from then on.
   *
   * @returns undefined where there is no room, or where the stub cannot watch
   */
  static build(
    client: GdbClient,
    read: ReadMemory,
    write: (at: Address, bytes: Uint8Array) => boolean,
    gates: GateTable,
    room: DoorRoom,
  ): Doors | undefined {
    const vectors = [BREAKPOINT_VECTOR, ...STEP_VECTORS.filter((vector) => gates.isPresent(vector))];
    const inEntry = findPadding(
      read,
      room.entryText.start,
      room.entryText.end,
      DOOR_BYTES,
      vectors.length + 1,
    );
    const wanted = vectors.length + 1 - inEntry.length;
    const places = [
      ...inEntry,
      ...(wanted > 0 ? findPadding(read, room.text.start, room.text.end, DOOR_BYTES, wanted) : []),
    ];
    const [watched, ...rest] = places;
    // The watched byte and the door of int3 are used by user programs' int3, too.
    if (watched === undefined || inEntry.length < 2 || rest.length < vectors.length) return undefined;
    const doors = vectors.map((vector, index) => ({
      vector,
      at: rest[index] as Address, // as many as vectors
      entry: gates.entry(vector),
    }));
    const built = new Doors(client, write, gates, doors, watched);
    if (!client.insert(BREAK.read, watched, 1)) return undefined;
    for (const door of doors) built.put(door.at, doorCode(door, watched));
    built.put(gateAddress(BREAKPOINT_VECTOR), built.redirected.gate(BREAKPOINT_VECTOR));
    return built;
  }

  vectorAt(pc: Address): number | undefined {
    return this.byStop.get(pc)?.vector;
  }

  passOn(vcpu: Vcpu, vector: number): void {
    const door = this.doors.get(vector);
    if (door === undefined) throw new RangeError(`no door for vector ${String(vector)}`);
    vcpu.reset();
    vcpu.wanted.pc = door.entry;
  }

  alsoAt(vectors: readonly number[]): void {
    this.armed = vectors.filter((vector) => this.doors.has(vector));
    const table = this.gates.copy();
    for (const vector of [BREAKPOINT_VECTOR, ...this.armed])
      table.gate(vector).set(this.redirected.gate(vector));
    this.putGates(table);
  }

  noLonger(): void {
    if (this.armed.length === 0) return;
    this.armed = [];
    const table = this.gates.copy();
    table.gate(BREAKPOINT_VECTOR).set(this.redirected.gate(BREAKPOINT_VECTOR));
    this.putGates(table);
  }

  remove(): void {
    this.armed = [];
    this.put(IDT, this.gates.bytes);
    for (const door of this.doors.values()) this.put(door.at, new Uint8Array(DOOR_BYTES).fill(FILLER));
    this.client.remove(BREAK.read, this.watched, 1);
  }

  private putGates(table: GateTable): void {
    this.client.pipeline.write(IDT, table.bytes.subarray(0, REDIRECTED * GATE_BYTES), (done) => {
      if (!done) throw new RangeError("the interrupt descriptor table cannot be written");
    });
  }

  private put(at: Address, bytes: Uint8Array): void {
    if (!this.write(at, bytes)) throw new RangeError("the kernel's text or tables cannot be written");
  }
}
