import { type Address, toBigInt } from "../../../base/address.js";
import { MemoryFault, type MemoryFaultReason, TargetGone } from "../../../base/errors.js";
import { mappingAt } from "../../mappings.js";
import type { Mapping, Memory } from "../../target.js";
import type { GdbClient } from "../protocol/client.js";

/** One past the last address of programs. Documentation/arch/x86/x86_64/mm.rst of the kernel. */
const USER_END = 2 ** 47 - 4096;

/** Mappings are believed for so long where thousands of places are looked at; milliseconds. */
const RECENT_MS = 100;

/** Memory of one address space. The stub reads and writes as a debugger does: whatever the protection. */
export class StubMemory implements Memory {
  private recent: { readonly mappings: readonly Mapping[]; readonly until: number } | undefined;
  /** Ranges that the program itself could not read when they were last looked at. */
  private unreadable: readonly Mapping[] = [];

  /**
   * @param select   makes the stub's memory be this space's @throws TargetGone no thread of it lives
   * @param look     the mappings as they are now
   */
  constructor(
    private readonly client: GdbClient,
    private readonly select: () => void,
    private readonly look: () => readonly Mapping[],
  ) {}

  /** All mappings, as they are now. */
  mappings(): readonly Mapping[] {
    const mappings = this.look();
    // x86 cannot make a page writable but not readable.
    this.unreadable = mappings.filter((mapping) => !mapping.readable && !mapping.writable);
    return mappings;
  }

  /** As they were a moment ago: for what is asked many times over. */
  recentMappings(): readonly Mapping[] {
    const now = performance.now();
    if (this.recent === undefined || now > this.recent.until)
      this.recent = { mappings: this.mappings(), until: now + RECENT_MS };
    return this.recent.mappings;
  }

  read(at: Address, into: Uint8Array): void {
    const done = this.readSome(at, into);
    if (done < into.length) throw this.faultAt((at + done) as Address);
  }

  readSome(at: Address, into: Uint8Array): number {
    const length = this.readable(at, into.length);
    if (length <= 0) return 0;
    this.select();
    return this.client.readMemory(at, into, 0, length);
  }

  faultAt(at: Address): MemoryFault {
    return this.fault(at, "read");
  }

  write(at: Address, bytes: Uint8Array): void {
    const mappings = this.mappings();
    let end = at;
    for (let mapping = mappingAt(mappings, at); mapping?.writable === true && end < at + bytes.length;) {
      end = mapping.end;
      mapping = mappingAt(mappings, end);
    }
    const usable = Math.min(bytes.length, end - at);
    this.select();
    const done = usable <= 0 ? 0 : this.client.writeMemory(at, bytes, 0, usable);
    if (done < bytes.length) throw this.fault((at + done) as Address, "write");
  }

  writeText(at: Address, bytes: Uint8Array): void {
    this.select();
    const done = this.client.writeMemory(at, bytes);
    if (done < bytes.length) throw this.fault((at + done) as Address, "write");
  }

  /** How much of a range the program could read itself, as far as that is known without a look. */
  private readable(at: Address, length: number): number {
    if (at < 0 || at >= USER_END) return 0;
    const first = this.firstUnreadable(at, length);
    if (first === undefined) return Math.min(length, USER_END - at);
    // It may have been made readable since.
    this.mappings();
    const still = this.firstUnreadable(at, length);
    return still === undefined ? length : Math.max(0, still.start - at);
  }

  private firstUnreadable(at: Address, length: number): Mapping | undefined {
    return this.unreadable.find((mapping) => mapping.start < at + length && at < mapping.end);
  }

  private fault(at: Address, access: "read" | "write"): MemoryFault {
    return new MemoryFault(toBigInt(at), access, this.reason(at, access));
  }

  /** Looked up only after an access failed. */
  private reason(at: Address, access: "read" | "write"): MemoryFaultReason {
    let mappings: readonly Mapping[];
    try {
      mappings = this.mappings();
    } catch (error) {
      if (!(error instanceof TargetGone)) throw error;
      return "unmapped";
    }
    const mapping = at < 0 ? undefined : mappingAt(mappings, at);
    if (mapping === undefined) return "unmapped";
    if (access === "write" ? !mapping.writable : !(mapping.readable || mapping.writable)) return "no-access";
    return mapping.path === "" || mapping.path.startsWith("[") ? "no-access" : "past-end-of-file";
  }
}
