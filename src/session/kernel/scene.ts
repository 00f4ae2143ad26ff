import type { Address } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import type { SceneSymbol } from "../../handlers/js/scene.js";
import type { Hit } from "../../probes/probe.js";
import type { OrcEntry } from "../../symbols/kernel/orc-table.js";
import { type KernelFrame, unwindStep } from "../../symbols/kernel/unwind.js";
import { loadedAt, unloadedFrom, type Vaddr } from "../../symbols/vaddr.js";
import type { SpaceId } from "../../targets/target.js";
import type { SceneFacts } from "../images.js";
import type { KernelImages } from "./images.js";

/** Of a backtrace; stacks of a damaged kernel can be linked in circles. */
const MOST_FRAMES = 128;

/** What a running kernel tells of a hit, beside registers and memory. */
export interface KernelFacts {
  /** The `task_struct` that the hit's processor runs. */
  currentTask(hit: Hit): bigint | undefined;
  /** Where the hit's processor has its per-CPU variables: what is added to their addresses. */
  perCpuOffset(hit: Hit): bigint | undefined;
  /** Nanoseconds; they stand while the machine is made to stand. */
  clock(): bigint;
}

/** What handlers can ask of a kernel. */
export class KernelScene implements SceneFacts {
  constructor(
    private readonly images: KernelImages,
    private readonly facts: KernelFacts,
  ) {}

  // Never kept: the same flow of execution, a processor's interrupts, is now in this process and now in that.

  process(hit: Hit): number {
    return hit.facts().process;
  }

  thread(hit: Hit): number {
    return hit.facts().thread;
  }

  symbolAt(_space: SpaceId, address: Address): SceneSymbol | undefined {
    // A program's address is nobody's of the kernel.
    if (address >= 0) return undefined;
    for (const image of this.images.all) {
      const found = image.symbolAt(address);
      if (found !== undefined)
        return { name: found.name, offset: found.offset, size: found.size, module: image.path };
    }
    return undefined;
  }

  variableAddress(hit: Hit, image: string, address: bigint, perCpu: boolean): bigint | undefined {
    const found = this.images.all.find((each) => each.path === image);
    if (found === undefined) return undefined;
    if (!perCpu) return BigInt(loadedAt(Number(address) as Vaddr, found.bias));
    const offset = this.facts.perCpuOffset(hit);
    return offset === undefined ? undefined : BigInt.asIntN(64, address + offset);
  }

  backtrace(hit: Hit, stack: "kernel" | "user"): readonly bigint[] | undefined {
    if (stack === "user" || hit.at === 0) return undefined;
    const places: bigint[] = [];
    const source = {
      entryAt: (pc: Address) => this.unwindEntry(pc),
      word: (at: Address) => wordAt(hit, at),
    };
    let frame: KernelFrame | undefined = firstFrame(hit);
    while (frame !== undefined && places.length < MOST_FRAMES) {
      places.push(BigInt(frame.pc));
      const next = unwindStep(frame, source);
      frame = next.kind === "frame" ? next.frame : undefined;
    }
    return places;
  }

  currentTask(hit: Hit): bigint | undefined {
    return this.facts.currentTask(hit);
  }

  clock(): bigint {
    return this.facts.clock();
  }

  private unwindEntry(pc: Address): OrcEntry | undefined {
    const image = this.images.at(this.images.space, pc);
    return image?.source.code.unwind?.at(unloadedFrom(pc, image.bias));
  }
}

function firstFrame({ registers }: Hit): KernelFrame {
  return {
    pc: registers.pc,
    sp: registers.sp,
    bp: registers.read("rbp"),
    interrupted: true,
    registers: {
      rdx: registers.read("rdx"),
      rdi: registers.read("rdi"),
      r10: registers.read("r10"),
      r13: registers.read("r13"),
    },
  };
}

function wordAt(hit: Hit, at: Address): bigint | undefined {
  const bytes = new Uint8Array(8);
  try {
    hit.memory.read(at, bytes);
  } catch (error) {
    if (error instanceof MemoryFault) return undefined;
    throw error;
  }
  return new DataView(bytes.buffer).getBigUint64(0, true);
}
