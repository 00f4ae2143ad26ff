import type { Address } from "../../base/address.js";
import type { SceneSymbol } from "../../handlers/js/scene.js";
import type { Hit } from "../../probes/probe.js";
import type { SpaceId, ThreadId } from "../../targets/target.js";
import type { Images, SceneFacts } from "../images.js";

/** What handlers can ask of a process. */
export class ProcessScene implements SceneFacts {
  private readonly processes = new Map<ThreadId, { readonly space: SpaceId; readonly process: number }>();

  constructor(private readonly images: Images) {}

  process(hit: Hit): number {
    // A thread stays in its process for life, but the kernel gives its number to another one later:
    // that one is in another address space, and those are never numbered twice.
    let known = this.processes.get(hit.thread);
    if (known?.space !== hit.space) {
      known = { space: hit.space, process: hit.facts().process };
      this.processes.set(hit.thread, known);
    }
    return known.process;
  }

  thread(hit: Hit): number {
    return hit.thread;
  }

  symbolAt(space: SpaceId, address: Address): SceneSymbol | undefined {
    const image = this.images.at(space, address);
    const symbol = image?.symbolAt(address);
    if (image === undefined || symbol === undefined) return undefined;
    return { name: symbol.name, offset: symbol.offset, size: symbol.size ?? 0, module: image.path };
  }

  clock(): bigint {
    return process.hrtime.bigint();
  }

  // What a process does not have, or what nobody reads of its files yet.

  variableAddress(): undefined {
    return undefined;
  }

  backtrace(): undefined {
    return undefined;
  }

  currentTask(): undefined {
    return undefined;
  }
}
