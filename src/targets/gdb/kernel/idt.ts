import { type Address, addressFromHalves, offsetBy } from "../../../base/address.js";
import { GATE_BYTES, IDT } from "./slide.js";

/** Exceptions have the vectors below this one. Intel SDM vol. 3A, 6.2. */
export const EXCEPTION_VECTORS = 32;

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

  /** Has it a stack of its own (IST)? */
  hasOwnStack(vector: number): boolean {
    return ((this.bytes[vector * GATE_BYTES + 4] ?? 0) & 7) !== 0;
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

export function gateAddress(vector: number): Address {
  return offsetBy(IDT, vector * GATE_BYTES);
}
