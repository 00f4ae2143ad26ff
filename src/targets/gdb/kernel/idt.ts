import { type Address, addressFromHalves, offsetBy } from "../../../base/address.js";
import { GATE_BYTES, IDT, type ReadMemory } from "./slide.js";

/** Exceptions have the vectors below this one. Intel SDM vol. 3A, 6.2. */
export const EXCEPTION_VECTORS = 32;
/** Of exceptions and interrupts. */
const ALL_VECTORS = 256;

const PRESENT = 0x80;

/** The descriptors of the processor's exceptions. Intel SDM vol. 3A, figure 6-8. */
export class GateTable {
  private readonly view: DataView;

  /** @param bytes of the table; kept */
  constructor(readonly bytes: Uint8Array<ArrayBuffer>) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  static empty(): GateTable {
    return new GateTable(new Uint8Array(EXCEPTION_VECTORS * GATE_BYTES));
  }

  copy(): GateTable {
    return new GateTable(this.bytes.slice());
  }

  isPresent(vector: number): boolean {
    return ((this.bytes[vector * GATE_BYTES + 5] ?? 0) & PRESENT) !== 0;
  }

  /** Where the processor goes. */
  entry(vector: number): Address {
    const at = vector * GATE_BYTES;
    const low = this.view.getUint16(at, true) | (this.view.getUint16(at + 6, true) << 16);
    return addressFromHalves(low >>> 0, this.view.getInt32(at + 8, true));
  }

  /** Makes it go elsewhere. */
  redirect(vector: number, to: Address): void {
    const at = vector * GATE_BYTES;
    const low = ((to % 2 ** 32) + 2 ** 32) % 2 ** 32;
    this.view.setUint16(at, low & 0xffff, true);
    this.view.setUint16(at + 6, low >>> 16, true);
    this.view.setInt32(at + 8, Math.floor(to / 2 ** 32), true);
  }

  /** The descriptor's bytes, to be written to {@link gateAddress}. */
  gate(vector: number): Uint8Array {
    return this.bytes.subarray(vector * GATE_BYTES, (vector + 1) * GATE_BYTES);
  }
}

/**
 * The exception or interrupt that begins at an address, by the table as it stands now.
 *
 * @returns undefined where none does
 */
export function vectorEnteredAt(read: ReadMemory, pc: Address): number | undefined {
  const table = new GateTable(new Uint8Array(ALL_VECTORS * GATE_BYTES));
  if (read(IDT, table.bytes) < table.bytes.length) return undefined;
  for (let vector = 0; vector < ALL_VECTORS; vector++)
    if (table.isPresent(vector) && table.entry(vector) === pc) return vector;
  return undefined;
}

export function gateAddress(vector: number): Address {
  return offsetBy(IDT, vector * GATE_BYTES);
}
