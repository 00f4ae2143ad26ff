import { TargetGone } from "../../../base/errors.js";
import type { Mapping, SpaceId } from "../../target.js";
import type { GdbClient } from "../protocol/client.js";
import { StubMemory } from "./memory.js";
import type { ProcessFiles } from "./process-files.js";
import type { ThreadRegisters } from "./thread-registers.js";
import type { ProgramThread, ProgramThreads } from "./threads.js";

/** The address spaces of a program's processes. The stub's answers are about one of them at a time. */
export class ProgramSpaces {
  private readonly memories = new Map<SpaceId, StubMemory>();

  constructor(
    private readonly client: GdbClient,
    private readonly threads: ProgramThreads,
    private readonly files: ProcessFiles,
    private readonly values: ThreadRegisters,
  ) {}

  memory(space: SpaceId): StubMemory {
    let memory = this.memories.get(space);
    if (memory === undefined) {
      memory = new StubMemory(
        this.client,
        () => {
          this.select(space);
        },
        () => this.files.mappings(this.someOf(space).process),
      );
      this.memories.set(space, memory);
    }
    return memory;
  }

  /** Makes the stub's answers be about a space. @throws TargetGone */
  select(space: SpaceId): void {
    const selected = this.client.selectedThread;
    if (selected !== undefined && this.threads.find(selected)?.space === space) return;
    this.values.select(this.someOf(space));
  }

  /** @throws TargetGone @throws StubError it cannot be read */
  mappedFile(space: SpaceId, mapping: Mapping): Uint8Array {
    return this.files.file(this.someOf(space).process, mapping.path);
  }

  /** Its last thread has ended. */
  forget(space: SpaceId): void {
    this.memories.delete(space);
  }

  private someOf(space: SpaceId): ProgramThread {
    const threads = this.threads.ofSpace(space);
    const thread = threads.find(({ state }) => state === "stopped") ?? threads[0];
    if (thread === undefined) throw new TargetGone("the program is gone");
    return thread;
  }
}
