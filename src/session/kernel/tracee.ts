import type { ProbeCore } from "../../probes/core.js";
import type { Target } from "../../targets/target.js";
import type { Images, ImagesListener, SceneFacts, Tracee } from "../images.js";
import type { SystemCalls } from "../system-calls.js";
import { KernelImages, type RunningKernel } from "./images.js";
import { type KernelFacts, KernelScene } from "./scene.js";
import { KernelSystemCalls } from "./system-calls.js";

/** A kernel behind a stub: its code is its image and its modules, its system calls are functions of it. */
export class KernelTracee implements Tracee {
  private made: KernelImages | undefined;

  constructor(
    readonly target: Target,
    private readonly running: RunningKernel,
    private readonly facts: KernelFacts,
    private readonly notice: (text: string) => void,
  ) {}

  images(core: ProbeCore, tell: ImagesListener): Images {
    this.made = new KernelImages(this.target, core, this.running, { ...tell, notice: this.notice });
    return this.made;
  }

  systemCalls(core: ProbeCore): SystemCalls {
    return new KernelSystemCalls(core, this.kernelImages);
  }

  scene(): SceneFacts {
    return new KernelScene(this.kernelImages, this.facts);
  }

  private get kernelImages(): KernelImages {
    if (this.made === undefined) throw new Error("a kernel's images are made first");
    return this.made;
  }
}
