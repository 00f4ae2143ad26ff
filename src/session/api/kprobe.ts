import type { MemoryFault } from "../../base/errors.js";
import type { HandlerRegisters } from "../../handlers/closures/handler-registers.js";
import type { Held, HandlerKit } from "../../handlers/closures/kit.js";
import type { HitFacts } from "../../handlers/closures/owner-side.js";
import type { InstructionFault } from "../../probes/instruction-fault.js";
import type { RegisteredProbe } from "./registered-probe.js";

/**
 * A handler's result must be nothing: one that is a promise does not compile, and disarms the probe.
 * A plain `void` would take a promise too.
 */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- the union is what refuses promises
type Nothing = void | undefined;

/**
 * What `registerKprobe` takes, in the words of `struct kprobe`. Handlers run in the caller's
 * thread while the target's thread stands still; they are synchronous.
 */
export interface Kprobe {
  /** The function, in the program or one of its libraries. Either this or {@link address}. */
  readonly symbolName?: string;
  /** Bytes from the symbol, at the start of an instruction. Default 0. */
  readonly offset?: number;
  /** Only in this program or library: `"libc.so.6"`, a path, or a pattern. */
  readonly module?: string;
  /** The address in the target's memory. */
  readonly address?: bigint | number;
  /** For messages. Default: where it is. */
  readonly name?: string;
  /** Bound on all faults of the handlers within one hit. Default 64. */
  readonly maxfault?: number;
  /** Consecutive cancelled hits after which the probe is disarmed. Default 100, 0 never. */
  readonly maxcancelled?: number;

  /** Before the instruction. */
  preHandler?(probe: RegisteredProbe, registers: HandlerRegisters, kit: HandlerKit, hit: HitFacts): Nothing;
  /** After the instruction; with {@link postOn} `"both"` also when it raised an exception (`hit.fault`). */
  postHandler?(probe: RegisteredProbe, registers: HandlerRegisters, kit: HandlerKit, hit: HitFacts): Nothing;
  readonly postOn?: "completion" | "both";
  /** Only when the instruction raised an exception (the mail's case 3a). */
  postFaultHandler?(
    probe: RegisteredProbe,
    registers: HandlerRegisters,
    kit: HandlerKit,
    fault: InstructionFault,
    hit: HitFacts,
  ): Nothing;
  /** When a handler of this probe faulted outside of a fence (cases 2 and 5); never for the instruction. */
  faultHandler?(probe: RegisteredProbe, fault: MemoryFault, held: Held): Nothing;
}
