import type { Mailbox } from "../../handlers/closures/mailbox.js";
import { OwnerMemory } from "../../handlers/closures/owner-memory.js";
import { RemoteMemory } from "../../handlers/closures/remote-memory.js";
import { SpaceMemory } from "../../targets/linux/memory.js";
import type { Memory, SpaceId } from "../../targets/target.js";

/** How many spaces are kept open: each takes two file descriptors, and a target may fork without end. */
const MOST = 16;

interface Opened {
  readonly file: SpaceMemory;
  readonly memory: Memory;
  /** The thread that made the last hit there: it stands still, and so it lives. */
  thread: number;
}

/** The target's memory, by space, for handlers in the caller's thread. */
export interface Memories {
  /** @param thread of the hit */
  of(space: SpaceId, thread: number): Memory;
  close(): void;
}

/** Memory that only the engine's thread can reach. */
export class RemoteMemories implements Memories {
  private readonly memory: Memory;

  constructor(mailbox: Mailbox) {
    this.memory = new RemoteMemory(mailbox);
  }

  of(): Memory {
    return this.memory;
  }

  close(): void {
    // The connection is the engine's.
  }
}

/** Memory of processes, which every thread of ours can read. */
export class TargetMemories implements Memories {
  private readonly opened = new Map<SpaceId, Opened>();

  constructor(
    private readonly mailbox: Mailbox,
    private readonly describe: string,
  ) {}

  of(space: SpaceId, thread: number): Memory {
    const opened = this.opened.get(space) ?? this.open(space, thread);
    opened.thread = thread;
    return opened.memory;
  }

  close(): void {
    for (const { file } of this.opened.values()) file.close();
    this.opened.clear();
  }

  private open(space: SpaceId, thread: number): Opened {
    const [oldest] = this.opened.keys();
    if (oldest !== undefined && this.opened.size >= MOST) {
      this.opened.get(oldest)?.file.close();
      this.opened.delete(oldest);
    }
    const file = new SpaceMemory(() => [opened.thread], this.describe);
    const opened: Opened = { file, memory: new OwnerMemory(file, this.mailbox), thread };
    this.opened.set(space, opened);
    return opened;
  }
}
