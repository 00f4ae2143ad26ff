import type { Address } from "../../base/address.js";
import type { ProbeCore } from "../../probes/core.js";
import type { SpaceId, Target } from "../../targets/target.js";
import { loadedAt } from "../../symbols/vaddr.js";
import type { Images, ImagesListener, SceneFacts, Tracee } from "../images.js";
import { NO_NAMES, type ProgramNames } from "../program-names.js";
import type { SystemCalls } from "../system-calls.js";
import { Programs } from "./programs.js";
import { ProcessScene } from "./scene.js";
import { SignalCallProbes } from "./signal-calls.js";
import { SystemCallProbes } from "./system-calls.js";

/** A process (or none at all): programs and libraries mapped from files, system calls told by the target. */
export class ProcessTracee implements Tracee {
  private programs: Programs | undefined;

  constructor(
    readonly target: Target,
    private readonly names: ProgramNames = NO_NAMES,
  ) {}

  images(core: ProbeCore, tell: ImagesListener): Programs {
    const signalCalls = new SignalCallProbes(this.target, core);
    const programs: Programs = new Programs(this.target, core, this.names, {
      changed: (space) => {
        signalCalls.arm(space, programs.images(space));
        tell.changed(space);
      },
      relocated: tell.relocated,
    });
    this.programs = programs;
    return programs;
  }

  /** Where the program of a space is entered. */
  entryOf(space: SpaceId): Address | undefined {
    const main = this.programs?.main(space);
    return main === undefined ? undefined : loadedAt(main.elf.entry, main.bias);
  }

  scene(images: Images): SceneFacts {
    return new ProcessScene(images);
  }

  systemCalls(core: ProbeCore, images: Images): SystemCalls {
    return new SystemCallProbes(this.target, core, images);
  }
}
