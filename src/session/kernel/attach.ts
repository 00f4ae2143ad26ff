import { addressOf } from "../../base/address.js";
import { TargetError } from "../../base/errors.js";
import type { KernelImage } from "../../symbols/kernel/image.js";
import { loadedModules } from "../../symbols/kernel/modules.js";
import type { LoadBias } from "../../symbols/vaddr.js";
import { KernelTarget } from "../../targets/gdb/kernel/target.js";
import type { Tracee } from "../images.js";
import { type CodeSource, kernelSource, moduleSource } from "./code-source.js";
import type { KernelFacts } from "./scene.js";
import { KernelTracee } from "./tracee.js";

/** A kernel that runs, or stands for us. */
export interface AttachedKernel {
  readonly target: KernelTarget;
  readonly tracee: Tracee;
  /** Its KASLR slide. */
  readonly bias: LoadBias;
  modules(): readonly CodeSource[];
}

export interface AttachOptions {
  readonly onNotice: (text: string) => void;
}

/**
 * Connects to the stub of a kernel, which stands still from then on.
 *
 * @param where see `--gdb`
 * @throws TargetError nobody is there, or it is another kernel than the image's
 */
export function attachKernel(where: string, image: KernelImage, { onNotice }: AttachOptions): AttachedKernel {
  const target = KernelTarget.connect(where, image, { onNotice });
  const bias = target.slide as LoadBias;
  const modules = (): readonly CodeSource[] => {
    const memory = target.memory();
    try {
      const { modules: found, damage } = loadedModules(image, memory, bias);
      if (damage !== undefined) onNotice(`not all modules of the kernel could be found: ${damage}`);
      return found.map((module) => moduleSource(module, memory));
    } catch (error) {
      if (!(error instanceof TargetError)) throw error;
      onNotice(`the kernel's modules cannot be probed: ${error.message}`);
      return [];
    }
  };
  const facts: KernelFacts = {
    currentTask: (hit) => target.taskOf(hit.thread),
    perCpuOffset: ({ registers }) => {
      const base = registers.read("gs_base");
      const at = addressOf(base);
      return at === undefined || at >= 0 ? undefined : BigInt.asIntN(64, base);
    },
    clock: () => target.capabilities.clock?.() ?? process.hrtime.bigint(),
  };
  const running = { source: kernelSource(image), bias, space: target.space, modules };
  return { target, tracee: new KernelTracee(target, running, facts, onNotice), bias, modules };
}
