import koffi from "koffi";
import { closeSync, openSync } from "node:fs";
import { type Address, offsetBy } from "../../base/address.js";
import { ProbeRefused, TargetError } from "../../base/errors.js";
import { SYS, errorName, systemCall } from "../system-calls.js";
import { mapInRoom, systemCallIn } from "./injection.js";
import type { Thread } from "./threads.js";
import type { Tracer } from "./tracer.js";
import type { SharedRegion, ThreadId } from "../target.js";

const PAGE = 4096;
const PROT_READ_WRITE = 3;
const PROT_NONE = 0;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE = 0x100022;
const MAP_SHARED_FIXED_NOREPLACE = 0x100001;
const MAP_SHARED_ANONYMOUS_FIXED_NOREPLACE = 0x100021;
const MREMAP_MAYMOVE_FIXED = 3;
const MFD_CLOEXEC = 1;

/** How memory of a program can be opened here. */
export type Sharing = "mapped-files" | "descriptor";

const EVERY_WAY: readonly Sharing[] = ["mapped-files", "descriptor"];

/**
 * Maps memory that a program and we have in common within ±2 GiB of `near`, by calls that a stopped thread is made
 * to do. It is all zeros. What handlers that run in the program count there is seen here, and stays when the
 * program dies, of whatever. Children that it forks share it too.
 *
 * The program gets it without a descriptor, where we may open what it has mapped (CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE; proc(5), map_files); else through a memfd that it has for a moment. (A child that
 * another of its threads forks in that moment keeps the descriptor until its exec.)
 *
 * @param length bytes, rounded up to whole pages
 * @param ways   that are tried, in this order
 * @throws ProbeRefused `"seccomp"`, `"no-room"`: nothing is left behind in the program
 * @throws TargetGone   the thread was killed meanwhile
 * @throws TargetError  it cannot be mapped here
 */
export function shareMemory(
  tracer: Tracer,
  thread: Thread,
  near: Address,
  length: number,
  ways: readonly Sharing[] = EVERY_WAY,
): SharedRegion {
  const size = Math.ceil(length / PAGE) * PAGE;
  for (const way of ways) {
    const open = way === "mapped-files" ? byMappedFiles : byDescriptor;
    const made = open(tracer, thread, near, size);
    if (made !== undefined) return new SharedMemory(tracer, made.start, size, made.ours);
  }
  throw new TargetError(
    "memory that is shared with the program cannot be opened: neither what it has mapped nor its descriptors are open to us",
  );
}

class SharedMemory implements SharedRegion {
  readonly bytes: Uint8Array;
  private isDisposed = false;

  constructor(
    private readonly tracer: Tracer,
    readonly start: Address,
    readonly length: number,
    private readonly ours: number,
  ) {
    this.bytes = new Uint8Array(koffi.view(BigInt(ours), length));
  }

  mapNear(id: ThreadId, near: Address): Address {
    const { tracer, length } = this;
    const thread = tracer.stoppedThread(id);
    const call = (number: number, args: readonly number[]): number =>
      systemCallIn(tracer, thread, near, number, args);
    // Reserved first: mremap to a fixed place would take it from another thread that has just mapped something there.
    const at = mapInRoom(tracer, thread, near, length, (wish) =>
      call(SYS.mmap, [wish, length, PROT_NONE, MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE, -1, 0]),
    );
    // An old size of 0 leaves the old mapping where it is: mremap(2), of mappings that are shareable.
    const result = call(SYS.mremap, [this.start, 0, length, MREMAP_MAYMOVE_FIXED, at, 0]);
    if (result === at) return at;
    call(SYS.munmap, [at, length]);
    throw new ProbeRefused(near, "no-room", `mremap in the program failed: ${errorName(result)}`);
  }

  /** Nobody may look at {@link bytes} afterwards. What the program has mapped stays there until it is unmapped. */
  [Symbol.dispose](): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    systemCall(SYS.munmap, this.ours, this.length);
  }
}

interface Made {
  readonly start: Address;
  /** The address here. */
  readonly ours: number;
}

/** @returns undefined where we may not open what a process has mapped */
function byMappedFiles(tracer: Tracer, thread: Thread, near: Address, size: number): Made | undefined {
  const start = mapInRoom(tracer, thread, near, size, (at) =>
    systemCallIn(tracer, thread, near, SYS.mmap, [
      at,
      size,
      PROT_READ_WRITE,
      MAP_SHARED_ANONYMOUS_FIXED_NOREPLACE,
      -1,
      0,
    ]),
  );
  const hex = (at: number): string => at.toString(16);
  const path = `/proc/${String(thread.id)}/map_files/${hex(start)}-${hex(offsetBy(start, size))}`;
  const ours = mapFile(path, size);
  if (ours !== undefined) return { start, ours };
  systemCallIn(tracer, thread, near, SYS.munmap, [start, size]);
  return undefined;
}

function byDescriptor(tracer: Tracer, thread: Thread, near: Address, size: number): Made | undefined {
  const call = (number: number, args: readonly number[]): number =>
    systemCallIn(tracer, thread, near, number, args);
  const refuse = (what: string, result: number): never => {
    throw new ProbeRefused(near, "no-room", `${what} in the program failed: ${errorName(result)}`);
  };
  const descriptor = call(SYS.memfd_create, [anyZero(thread), MFD_CLOEXEC]);
  if (descriptor < 0) refuse("memfd_create", descriptor);
  try {
    const grown = call(SYS.ftruncate, [descriptor, size]);
    if (grown < 0) refuse("ftruncate", grown);
    const ours = mapFile(`/proc/${String(thread.id)}/fd/${String(descriptor)}`, size);
    if (ours === undefined) return undefined;
    try {
      const start = mapInRoom(tracer, thread, near, size, (at) =>
        call(SYS.mmap, [at, size, PROT_READ_WRITE, MAP_SHARED_FIXED_NOREPLACE, descriptor, 0]),
      );
      return { start, ours };
    } catch (error) {
      systemCall(SYS.munmap, ours, size);
      throw error;
    }
  } finally {
    call(SYS.close, [descriptor]);
  }
}

/** Something that can be read as an empty name. */
function anyZero(thread: Thread): Address {
  const { memory } = thread.space;
  const byte = Uint8Array.of(1);
  for (const mapping of memory.mappings()) {
    // What is behind the end of some text is zero up to the end of its page.
    const at = offsetBy(mapping.end, -1);
    if (mapping.readable && mapping.start >= 0 && memory.readSome(at, byte) === 1 && byte[0] === 0) return at;
  }
  throw new TargetError("the program has no byte of memory that is zero");
}

/** @returns where it is here; undefined where it may not be opened */
function mapFile(path: string, size: number): number | undefined {
  let file: number;
  try {
    file = openSync(path, "r+");
  } catch (error) {
    if (error instanceof Error && "code" in error && NOT_ALLOWED.has(error.code)) return undefined;
    throw new TargetError(`${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  try {
    const at = systemCall(SYS.mmap, 0, size, PROT_READ_WRITE, MAP_SHARED, file, 0);
    if (at < 0 && at > -PAGE) throw new TargetError(`${path} cannot be mapped here: ${errorName(at)}`);
    return at;
  } finally {
    closeSync(file);
  }
}

const NOT_ALLOWED: ReadonlySet<unknown> = new Set(["EPERM", "EACCES", "ENOENT"]);
