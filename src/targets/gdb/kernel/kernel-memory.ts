import { type Address, addressOf, offsetBy, toBigInt } from "../../../base/address.js";
import { MemoryFault, type MemoryFaultReason } from "../../../base/errors.js";
import type { Memory } from "../../target.js";

/** What {@link KernelMemory} needs of the machine; see Machine. */
export interface MachineMemory {
  read(at: Address, into: Uint8Array): number;
  write(at: Address, bytes: Uint8Array): boolean;
  /** Whether the processor's own store would be let through there; undefined where nobody can say. */
  isWritable(at: Address): boolean | undefined;
  /** Writes later, with what is sent next. @returns false where that may not be done there */
  writeLater(at: Address, bytes: Uint8Array): boolean;
}

const PAGE = 4096;

/**
 * A kernel's memory, and below address 0x800000000000 that of the user whose page tables the processor has
 * that stopped last.
 */
export class KernelMemory implements Memory {
  constructor(
    private readonly machine: MachineMemory,
    /** Why no user's memory can be had, where that is so. */
    private readonly withoutUsers?: MemoryFaultReason,
  ) {}

  read(at: Address, into: Uint8Array): void {
    const got = this.readSome(at, into);
    if (got < into.length) throw this.faultAt(offsetBy(at, got));
  }

  readSome(at: Address, into: Uint8Array): number {
    return this.machine.read(at, into);
  }

  faultAt(at: Address): MemoryFault {
    return this.fault(at, "read", "unmapped");
  }

  write(at: Address, bytes: Uint8Array): void {
    if (bytes.length === 0 || this.machine.writeLater(at, bytes)) return;
    for (let page = at - (((at % PAGE) + PAGE) % PAGE); page < at + bytes.length; page += PAGE) {
      const first = Math.max(page, at) as Address;
      const writable = this.machine.isWritable(first);
      if (writable === false) {
        const there = this.machine.read(first, new Uint8Array(1)) === 1;
        throw this.fault(first, "write", there ? "no-access" : "unmapped");
      }
    }
    this.writeText(at, bytes);
  }

  writeText(at: Address, bytes: Uint8Array): void {
    if (this.machine.write(at, bytes)) return;
    const got = this.machine.read(at, new Uint8Array(bytes.length));
    throw this.fault(offsetBy(at, got < bytes.length ? got : 0), "write", "unmapped");
  }

  private fault(at: Address, access: "read" | "write", reason: "unmapped" | "no-access"): MemoryFault {
    const canonical = addressOf(toBigInt(at)) !== undefined;
    const ofUser = at >= PAGE ? this.withoutUsers : undefined;
    return new MemoryFault(toBigInt(at), access, canonical ? (ofUser ?? reason) : "not-canonical");
  }
}
