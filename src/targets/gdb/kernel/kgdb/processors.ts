import { type Address, offsetBy } from "../../../../base/address.js";
import { TargetError } from "../../../../base/errors.js";
import type { KernelImage } from "../../../../symbols/kernel/image.js";
import type { GdbClient } from "../../protocol/client.js";
import { StubError } from "../../protocol/errors.js";
import type { StubThread } from "../../protocol/thread-ids.js";
import type { Stopped } from "../carrier.js";
import type { Machine, Vcpu } from "../machine.js";

/** KGDB's thread of a processor: minus two less its number, in 32 bits. kernel/debug/gdbstub.c, shadow_pid(). */
const FIRST_SHADOW = 0xffff_fffe;
/** No kernel has more processors; and no task such a number. */
const MOST_PROCESSORS = 8192;

/**
 * KGDB's threads of the processors that are on: it lists them before all tasks, and no other stub has such.
 *
 * @returns in the processors' order; undefined where the stub is another
 */
export function shadowThreads(client: GdbClient): readonly StubThread[] | undefined {
  const text = client.query("qfThreadInfo");
  if (!text.startsWith("m")) return undefined;
  const threads = text
    .slice(1)
    .split(",")
    .flatMap((name) => {
      const thread = client.ids.parse(name);
      return thread !== undefined && processorOf(thread) !== undefined ? [thread] : [];
    });
  return threads.length === 0 ? undefined : threads;
}

function processorOf({ process, thread }: StubThread): number | undefined {
  const number = FIRST_SHADOW - thread;
  return process === undefined && number >= 0 && number < MOST_PROCESSORS ? number : undefined;
}

/** What is asked of a kernel's image. */
export type Symbols = Pick<KernelImage, "path" | "symbol" | "symbolAt" | "fixup">;

/** Which processor a stop is of, and where its per-CPU variables are: KGDB tells neither. */
export class Processors {
  private readonly byNumber = new Map<number, Vcpu>();
  private readonly bases = new Map<Vcpu, bigint>();
  private readonly active: Address | undefined;

  /**
   * @throws TargetError there are several processors, and the kernel's image does not say where KGDB keeps which
   *   of them has stopped
   */
  constructor(
    private readonly machine: Machine,
    image: Symbols,
    slide: number,
  ) {
    const live = (name: string): Address | undefined => {
      const vaddr = image.symbol(name);
      return vaddr === undefined ? undefined : ((vaddr + slide) as Address);
    };
    // kernel/debug/debug_core.c: the number of the processor that the debugger has.
    this.active = live("kgdb_active");
    if (this.active === undefined && machine.vcpus.length > 1)
      throw new TargetError(`${image.path} has no symbol kgdb_active: which processor stops is not known`, {
        remedy: "Name the kernel's vmlinux with --kernel, or build it with CONFIG_KALLSYMS_ALL.",
      });
    // arch/x86/include/asm/percpu.h: what GS holds in the kernel, by a processor's number.
    const offsets = live("__per_cpu_offset");
    const word = new Uint8Array(8);
    for (const vcpu of machine.vcpus) {
      const number = processorOf(vcpu.thread) ?? vcpu.index;
      this.byNumber.set(number, vcpu);
      if (offsets === undefined || machine.read(offsetBy(offsets, 8 * number), word) < word.length) continue;
      this.bases.set(vcpu, new DataView(word.buffer).getBigUint64(0, true));
    }
  }

  /** Reads the registers of the processor that stopped. */
  fetch(stop: Stopped): Vcpu {
    const vcpu = this.stopped(stop);
    this.machine.fetch(vcpu);
    const base = this.bases.get(vcpu);
    // KGDB has no such register.
    if (base !== undefined) for (const file of [vcpu.actual, vcpu.wanted]) file.write("gs_base", base);
    vcpu.wanted.dirty = false;
    return vcpu;
  }

  private stopped({ thread }: Stopped): Vcpu {
    const { machine } = this;
    if (machine.vcpus.length === 1 || this.active === undefined) return machine.vcpuOf(undefined);
    // A processor that was idle; of any other its task is told.
    const shadow = thread === undefined ? undefined : processorOf(thread);
    const number = shadow ?? this.activeNumber(this.active);
    const vcpu = this.byNumber.get(number);
    if (vcpu === undefined)
      throw new StubError(
        "nonsense",
        `${machine.client.name}: KGDB says that processor ${String(number)} stopped, and has none of that number`,
        { remedy: "Connect again where processors were added." },
      );
    return vcpu;
  }

  private activeNumber(at: Address): number {
    const bytes = new Uint8Array(4);
    return this.machine.read(at, bytes) < bytes.length ? -1 : new DataView(bytes.buffer).getInt32(0, true);
  }
}
