import type { Address } from "../../../base/address.js";
import { TargetError } from "../../../base/errors.js";
import type { ExceptionFrame } from "./exception-frame.js";
import type { MachineMemory } from "./kernel-memory.js";
import type { Machine, Vcpu } from "./machine.js";
import { isWritable } from "./page-tables.js";

/** Memory as one processor of the machine sees it: that which stopped last, or whom one looks at. */
export class Focus implements MachineMemory {
  /** Whose page tables memory is read with. */
  vcpu: Vcpu;
  /** What a processor has just pushed, where that is so. */
  pushedBy: (vcpu: Vcpu) => ExceptionFrame | undefined = () => undefined;

  constructor(private readonly machine: Machine) {
    this.vcpu = machine.vcpuOf(undefined);
  }

  read(at: Address, into: Uint8Array): number {
    this.machine.stand();
    this.machine.select(this.vcpu);
    return this.machine.read(at, into);
  }

  write(at: Address, bytes: Uint8Array): boolean {
    this.machine.stand();
    this.machine.select(this.vcpu);
    return this.machine.write(at, bytes);
  }

  /** Where the processor has just pushed a frame a push can write, too: nobody need wait for it. */
  writeLater(at: Address, bytes: Uint8Array): boolean {
    const frame = this.pushedBy(this.vcpu);
    if (frame === undefined || at < frame.sp || at + bytes.length > frame.stack) return false;
    const { client } = this.machine;
    this.machine.select(this.vcpu);
    client.pipeline.write(at, bytes, (done) => {
      if (!done) throw new TargetError(`${client.name}: the stack cannot be written where it could just now`);
    });
    return true;
  }

  isWritable(at: Address): boolean | undefined {
    const { machine } = this;
    const { client } = machine;
    machine.stand();
    machine.select(this.vcpu);
    const cr3 = client.readRegister("cr3");
    const cr4 = client.readRegister("cr4");
    if (cr3 === undefined || cr4 === undefined || !client.set("Qqemu.PhyMemMode:1")) return undefined;
    try {
      return isWritable(
        at,
        { cr3, cr4 },
        (physical, into) => machine.read(physical as Address, into) === into.length,
      );
    } finally {
      client.set("Qqemu.PhyMemMode:0");
    }
  }
}
