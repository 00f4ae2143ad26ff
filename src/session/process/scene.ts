import type { Address } from "../../base/address.js";
import type { SceneSymbol } from "../../handlers/js/scene.js";
import type { SpaceId } from "../../targets/target.js";
import type { Images, SceneFacts } from "../images.js";

/** What handlers can ask of a process. */
export class ProcessScene implements SceneFacts {
  constructor(private readonly images: Images) {}

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
