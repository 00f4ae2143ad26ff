import type { Address } from "../../../base/address.js";
import { ProbeRefused, TargetError } from "../../../base/errors.js";
import { unlessGone } from "../../../base/gone.js";
import { mappingAt } from "../../mappings.js";
import type { Breakpoints, SpaceId } from "../../target.js";
import { BREAK, type GdbClient } from "../protocol/client.js";
import { StubRefusal } from "../protocol/errors.js";
import type { Journal } from "./journal.js";
import type { ProgramSpaces } from "./spaces.js";

/**
 * Breakpoints of the stub's own. It shows nobody that they are there, and keeps them until it is told
 * otherwise, also when it is left: so whoever puts one in must have it taken out, and the {@link Journal}
 * tells the next one where they are.
 */
export class StubBreakpoints implements Breakpoints {
  readonly visible = false;
  private readonly inserted = new Set<Address>();

  constructor(
    private readonly client: GdbClient,
    private readonly spaces: ProgramSpaces,
    private readonly journal: Journal,
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
    this.journal.breakpoint(at);
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

  /** Those of slots that are about to be unmapped in a space. */
  removeWithin(space: SpaceId, start: Address, length: number): void {
    this.removeFrom(
      [space],
      [...this.inserted].filter((at) => at >= start && at < start + length),
    );
  }

  /** Whatever is left of ours, everywhere: a program is to be let go. */
  removeAll(spaces: Iterable<SpaceId>): void {
    this.removeFrom(spaces, this.inserted);
    this.inserted.clear();
  }

  /** What tracers before us have left. */
  removeLeft(spaces: Iterable<SpaceId>): void {
    this.removeFrom(spaces, this.journal.left);
  }

  private removeFrom(spaces: Iterable<SpaceId>, addresses: Iterable<Address>): void {
    const all = [...addresses];
    if (all.length === 0) return;
    for (const space of spaces)
      unlessGone(() => {
        this.spaces.select(space);
        const { pipeline } = this.client;
        // One that is not there, or whose text is gone, is refused: that is as well.
        for (const at of all) pipeline.removeIfThere(BREAK.software, at, 1);
        pipeline.flush();
      });
  }
}
