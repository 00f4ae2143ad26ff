import type { Address } from "../../../base/address.js";
import { ProbeRefused, TargetError } from "../../../base/errors.js";
import { unlessGone } from "../../../base/gone.js";
import { mappingAt } from "../../mappings.js";
import type { Breakpoints, SpaceId } from "../../target.js";
import { BREAK, type GdbClient } from "../protocol/client.js";
import { StubRefusal } from "../protocol/errors.js";
import type { ProgramSpaces } from "./spaces.js";

/**
 * Breakpoints of the stub's own. It shows nobody that they are there, and takes them out itself when it is
 * left, also by a tracer that was killed.
 */
export class StubBreakpoints implements Breakpoints {
  readonly visible = false;
  private readonly inserted = new Set<Address>();

  constructor(
    private readonly client: GdbClient,
    private readonly spaces: ProgramSpaces,
  ) {}

  insert(space: SpaceId, at: Address): void {
    const mapping = mappingAt(this.spaces.memory(space).recentMappings(), at);
    if (mapping?.shared === true)
      throw new ProbeRefused(
        at,
        "shared-mapping",
        `it is in a shared mapping (${mapping.path}): a breakpoint there would be written to the file`,
      );
    this.spaces.select(space);
    this.inserted.add(at);
    try {
      if (!this.client.insert(BREAK.software, at, 1))
        throw new TargetError(`${this.client.name}: the stub has no breakpoints`);
    } catch (error) {
      if (!(error instanceof StubRefusal)) throw error;
      throw new ProbeRefused(at, "unmapped", `the stub cannot put a breakpoint there (${error.message})`);
    }
  }

  /** Is it ours, in whatever space? */
  has(at: Address): boolean {
    return this.inserted.has(at);
  }

  remove(space: SpaceId, at: Address): boolean {
    this.inserted.delete(at);
    unlessGone(() => {
      this.spaces.select(space);
      try {
        this.client.remove(BREAK.software, at, 1);
      } catch (error) {
        // Its text is gone, and the breakpoint with it.
        if (!(error instanceof StubRefusal)) throw error;
      }
    });
    return true;
  }
}
