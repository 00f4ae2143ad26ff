import { readFileSync } from "node:fs";
import { type Address, formatAddress, toBigInt } from "../../base/address.js";
import {
  MemoryFault,
  type MemoryFaultReason,
  ProbeRefused,
  TargetError,
  TargetGone,
} from "../../base/errors.js";
import type { Mapping, Memory } from "../target.js";
import {
  ERRNO,
  SYS,
  SharedBytes,
  closeFile,
  errorName,
  openFile,
  systemCall,
  systemCall4,
} from "../system-calls.js";
import { mappingAt } from "../mappings.js";
import { readMappings } from "./read-mappings.js";
import { showsUserfaultfd } from "./smaps.js";

const PAGE = 4096;
const O_RDONLY = 0;
const O_RDWR = 2;

/** Bytes moved by one system call; the rest of a longer transfer follows in turns. */
const CHUNK = 64 * 1024;

/** First address that user space cannot map, with four-level tables. arch/x86/include/asm/page_64_types.h. */
const USER_END = 2 ** 47 - PAGE;

/** Bits of a pagemap entry, counted in its upper half. Documentation/admin-guide/mm/pagemap.rst. */
const PAGEMAP_PRESENT = 1 << 31;
const PAGEMAP_USERFAULTFD_WRITE_PROTECTED = 1 << (57 - 32);

// One copy for all spaces: every call is synchronous and from one thread.
const bounce = new SharedBytes(CHUNK);
const vectors = new SharedBytes(32); // struct iovec local, remote
const pagemap = new SharedBytes(8 * (CHUNK / PAGE + 2));

/**
 * A look at a space's mappings is believed for so many times as long as it took. Text is written
 * to thousands of places in a row, and faults may come with every hit; a look costs as much as
 * ten hits.
 */
const BELIEF = 20;

/**
 * Memory of one address space.
 *
 * A page behind a userfaultfd would block process_vm_readv until somebody resolves it, and we may
 * be what keeps that somebody stopped. So pages that the page table does not have are first
 * brought in through /proc/PID/mem, which fails there instead of waiting (but ignores protections);
 * then process_vm_readv, which respects protections, finds them present.
 */
export class SpaceMemory implements Memory {
  private memoryFile = -1;
  private pagemapFile = -1;
  private recent: { readonly mappings: readonly Mapping[]; readonly until: number } | undefined;

  /** @param liveThread any thread that has this space; throws TargetGone when none lives */
  constructor(
    private readonly liveThreads: () => Iterable<number>,
    private readonly describe: string,
  ) {}

  read(at: Address, into: Uint8Array): void {
    const done = this.transfer(SYS.process_vm_readv, at, into, into.length);
    if (done < into.length) throw this.fault((at + done) as Address, "read");
  }

  readSome(at: Address, into: Uint8Array): number {
    return this.transfer(SYS.process_vm_readv, at, into, into.length);
  }

  faultAt(at: Address): MemoryFault {
    return this.fault(at, "read");
  }

  write(at: Address, bytes: Uint8Array): void {
    const done = this.transfer(SYS.process_vm_writev, at, bytes, bytes.length);
    if (done < bytes.length) throw this.fault((at + done) as Address, "write");
  }

  writeText(at: Address, bytes: Uint8Array): void {
    this.refuseShared(at, bytes.length);
    let done = 0;
    while (done < bytes.length) {
      const length = Math.min(CHUNK, bytes.length - done);
      copy(bytes, done, bounce.bytes, 0, length);
      const result = systemCall4(SYS.pwrite64, this.openMemory(), bounce.address, length, at + done);
      if (result === 0) throw this.gone();
      if (result < 0) throw this.fault((at + done) as Address, "write");
      done += result;
    }
  }

  /** Closes what was opened; the memory must not be used afterwards. */
  close(): void {
    if (this.memoryFile >= 0) closeFile(this.memoryFile);
    if (this.pagemapFile >= 0) closeFile(this.pagemapFile);
    this.memoryFile = this.pagemapFile = -1;
  }

  /** Moves bytes until all are moved or a page is bad. Allocates nothing for less than a chunk. */
  private transfer(call: number, at: Address, local: Uint8Array, length: number): number {
    const writing = call === SYS.process_vm_writev;
    let done = 0;
    while (done < length) {
      const start = at + done;
      if (start < 0 || start >= USER_END) return done;
      const wanted = Math.min(CHUNK, length - done, USER_END - start);
      const usable = this.bringIn(start, wanted, writing);
      if (usable === 0) return done;
      if (writing) copy(local, done, bounce.bytes, 0, usable);
      let moved = this.move(call, start, usable);
      if (moved === 0 && !writing) moved = this.readWriteOnly(start as Address, usable);
      if (!writing) copy(bounce.bytes, 0, local, done, moved);
      done += moved;
      if (moved < wanted) return done;
    }
    return done;
  }

  /** process_vm_readv or writev between the bounce buffer and the target. @returns bytes moved */
  private move(call: number, at: number, length: number): number {
    setWord(vectors, 0, bounce.address);
    setWord(vectors, 1, length);
    setWord(vectors, 2, at);
    setWord(vectors, 3, length);
    for (const thread of this.liveThreads()) {
      const result = systemCall(call, thread, vectors.address, 1, vectors.address + 16, 1, 0);
      if (result >= 0) return result;
      if (result === -ERRNO.EFAULT) return 0;
      if (result === -ERRNO.ESRCH) continue;
      throw new TargetError(`cannot access the memory of ${this.describe}: ${errorName(result)}`);
    }
    throw this.gone();
  }

  /**
   * What is mapped writable but not readable the program can read on x86, process_vm_readv not.
   * @returns bytes now in the bounce buffer
   */
  private readWriteOnly(at: Address, length: number): number {
    const mapping = mappingAt(this.recentMappings(), at);
    if (mapping === undefined || mapping.readable || !mapping.writable) return 0;
    const usable = Math.min(length, mapping.end - at);
    return Math.max(0, systemCall4(SYS.pread64, this.openMemory(), bounce.address, usable, at));
  }

  /**
   * Makes sure that the pages of a range are in the page table, without ever waiting for another
   * process.
   * @returns how many bytes from `at` on can be accessed without a wait
   */
  private bringIn(at: number, length: number, writing: boolean): number {
    const first = Math.floor(at / PAGE);
    const count = Math.floor((at + length - 1) / PAGE) - first + 1;
    const result = systemCall4(SYS.pread64, this.openPagemap(), pagemap.address, 8 * count, 8 * first);
    // 0: the space has no users any more; a short read does not happen below USER_END.
    if (result === 0) throw this.gone();
    if (result < 0)
      throw new TargetError(`cannot read the page map of ${this.describe}: ${errorName(result)}`);
    for (let i = 0; i < count; i++) {
      const entry = pagemap.words[2 * i + 1] as number; // i < count, which the buffer was sized for
      const blocked = writing && (entry & PAGEMAP_USERFAULTFD_WRITE_PROTECTED) !== 0;
      if ((entry & PAGEMAP_PRESENT) !== 0 && !blocked) continue;
      const page = (first + i) * PAGE;
      if (blocked || !this.touch(page)) return Math.max(0, page - at);
    }
    return length;
  }

  /** Brings one page in by reading a byte of it. @returns false where it cannot be had */
  private touch(page: number): boolean {
    const result = systemCall4(SYS.pread64, this.openMemory(), vectors.address, 1, page);
    if (result === 0) throw this.gone();
    return result === 1;
  }

  private openMemory(): number {
    if (this.memoryFile < 0) this.memoryFile = this.open("mem", O_RDWR);
    return this.memoryFile;
  }

  private openPagemap(): number {
    if (this.pagemapFile < 0) this.pagemapFile = this.open("pagemap", O_RDONLY);
    return this.pagemapFile;
  }

  private open(name: string, flags: number): number {
    let refusal: TargetError | undefined;
    for (const thread of this.liveThreads()) {
      const result = openFile(`/proc/${thread}/${name}`, flags);
      if (result >= 0) return result;
      // Of a thread that has exited while others of its process live on, the files give ESRCH, or
      // belong to root: try the next.
      if (result !== -ERRNO.ESRCH && result !== -ERRNO.ENOENT)
        refusal = new TargetError(`cannot open /proc/${thread}/${name}: ${errorName(result)}`);
    }
    throw refusal ?? this.gone();
  }

  /** Writing through /proc/PID/mem into a shared mapping would change the file, for everybody. */
  private refuseShared(at: Address, length: number): void {
    let mapping = mappingAt(this.recentMappings(), at);
    if (mapping === undefined || at + length > mapping.end) {
      this.recent = undefined;
      mapping = mappingAt(this.recentMappings(), at);
    }
    if (mapping === undefined) throw this.fault(at, "write");
    if (mapping.shared)
      throw new ProbeRefused(
        at,
        "shared-mapping",
        `${formatAddress(at)} is in a shared mapping (${mapping.path}): a breakpoint there would be written to the file`,
      );
  }

  private recentMappings(): readonly Mapping[] {
    const before = performance.now();
    if (this.recent === undefined || before >= this.recent.until) {
      const mappings = this.mappings();
      const after = performance.now();
      this.recent = { mappings, until: after + BELIEF * (after - before) };
    }
    return this.recent.mappings;
  }

  /** All mappings, as they are now. */
  mappings(): readonly Mapping[] {
    let refusal: TargetError | undefined;
    for (const thread of this.liveThreads()) {
      try {
        const mappings = readMappings(thread);
        // Empty: of a thread that has exited while others of its process live on.
        if (mappings.length > 0) return mappings;
      } catch (error) {
        if (!(error instanceof TargetError)) throw error;
        if (!(error instanceof TargetGone)) refusal = error;
      }
    }
    throw refusal ?? this.gone();
  }

  private gone(): TargetGone {
    return new TargetGone(`${this.describe} is gone`);
  }

  private fault(at: Address, access: "read" | "write"): MemoryFault {
    return new MemoryFault(toBigInt(at), access, this.reason(at, access));
  }

  /** Why an access failed: looked up only after it did. */
  private reason(at: Address, access: "read" | "write"): MemoryFaultReason {
    const mapping = at < 0 ? undefined : mappingAt(this.recentMappings(), at);
    if (mapping === undefined) return "unmapped";
    // x86 cannot make a page writable but not readable; the kernel treats such mappings as readable.
    if (access === "write" ? !mapping.writable : !(mapping.readable || mapping.writable)) return "no-access";
    if (this.hasUserfaultfd(mapping.start)) return "userfaultfd";
    return mapping.path === "" || mapping.path.startsWith("[") ? "no-access" : "past-end-of-file";
  }

  private hasUserfaultfd(start: Address): boolean {
    for (const thread of this.liveThreads()) {
      let text: string;
      try {
        text = readFileSync(`/proc/${thread}/smaps`, "utf8");
      } catch {
        // Gone, or exited and root's now: the next one can tell.
        continue;
      }
      if (text === "") continue;
      return showsUserfaultfd(text, start);
    }
    return false;
  }
}

const SMALL = 64;

function copy(from: Uint8Array, fromStart: number, to: Uint8Array, toStart: number, length: number): void {
  if (length > SMALL) to.set(from.subarray(fromStart, fromStart + length), toStart);
  // In range by the callers' arithmetic; short copies must not allocate.
  else for (let i = 0; i < length; i++) to[toStart + i] = from[fromStart + i] as number;
}

/** Stores a non-negative address or length as the 64-bit word `index`, without a bigint. */
function setWord(memory: SharedBytes, index: number, value: number): void {
  memory.words[2 * index] = value | 0;
  memory.words[2 * index + 1] = Math.floor(value / 2 ** 32);
}
