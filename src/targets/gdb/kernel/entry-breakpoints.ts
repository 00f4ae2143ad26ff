import type { Address } from "../../../base/address.js";
import { EFLAGS } from "../../../arch/x86_64/registers.js";
import { offsetBy } from "../../../base/address.js";
import { TargetError } from "../../../base/errors.js";
import { BREAK, type GdbClient } from "../protocol/client.js";
import type { GateTable } from "./idt.js";
import type { Vcpu } from "./machine.js";
import type { ReadMemory } from "./slide.js";
import { BREAKPOINT_VECTOR, type TrapSense } from "./trap-sense.js";

/**
 * Stops a machine at exceptions by breakpoints of the stub on the kernel's own entries: for stubs that
 * cannot watch memory, and kernels without room for doors.
 */
export class EntryBreakpoints implements TrapSense {
  readonly watches = false;
  private readonly vectors = new Map<Address, number>();
  private armed: Address[] = [];

  constructor(
    private readonly client: GdbClient,
    private readonly read: ReadMemory,
    private readonly gates: GateTable,
  ) {
    for (let vector = 0; vector < 22; vector++)
      if (gates.isPresent(vector) && !this.vectors.has(gates.entry(vector)))
        this.vectors.set(gates.entry(vector), vector);
    client.insert(BREAK.software, gates.entry(BREAKPOINT_VECTOR), 1);
  }

  vectorAt(pc: Address): number | undefined {
    const vector = this.vectors.get(pc);
    return vector === BREAKPOINT_VECTOR || this.armed.includes(pc) ? vector : undefined;
  }

  /** Does the entry's first instructions itself, up to the first that is no preparation: the breakpoint is on it. */
  passOn(vcpu: Vcpu, vector: number): void {
    vcpu.reset();
    let pc = this.gates.entry(vector);
    const { wanted } = vcpu;
    const bytes = new Uint8Array(16);
    this.read(pc, bytes);
    let at = 0;
    const is = (...code: number[]): boolean => code.every((byte, index) => bytes[at + index] === byte);
    let clear = 0;
    for (;;) {
      if (is(0xf3, 0x0f, 0x1e, 0xfa))
        at += 4; // endbr64
      else if (is(0x0f, 0x1f, 0x00))
        at += 3; // nop
      else if (is(0x0f, 0x01, 0xca)) {
        at += 3; // clac
        clear |= EFLAGS.alignmentCheck;
      } else if (is(0xfc)) {
        at += 1; // cld
        clear |= EFLAGS.direction;
      } else break;
    }
    // Elsewhere than on the breakpoint it must go on.
    if (at === 0)
      throw new TargetError(
        "the kernel's entry for int3 begins as none that is known: breakpoints of its own cannot be passed on",
        {
          remedy: "Use a stub that can watch memory.",
        },
      );
    pc = offsetBy(pc, at);
    wanted.write("eflags", wanted.read("eflags") & ~BigInt(clear));
    wanted.pc = pc;
  }

  alsoAt(vectors: readonly number[]): void {
    for (const vector of vectors) {
      if (!this.gates.isPresent(vector)) continue;
      const at = this.gates.entry(vector);
      if (vector === BREAKPOINT_VECTOR || this.armed.includes(at)) continue;
      this.armed.push(at);
      this.client.pipeline.breakpoint("Z", BREAK.software, at, 1);
    }
  }

  noLonger(): void {
    for (const at of this.armed.splice(0)) this.client.pipeline.breakpoint("z", BREAK.software, at, 1);
  }

  remove(): void {
    this.client.pipeline.flush();
    for (const at of this.armed.splice(0)) this.client.remove(BREAK.software, at, 1);
    this.client.remove(BREAK.software, this.gates.entry(BREAKPOINT_VECTOR), 1);
  }
}
