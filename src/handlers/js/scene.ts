import type { Hit } from "../../probes/probe.js";

/** What only the session knows about a hit: names of places, the system call under way, the target. */
export interface Scene {
  /** The probe point as it matched: `process("/bin/ls").function("main")`. */
  pointName(hit: Hit): string;
  /** The function that the hit is in (the one that returns, at a return); `""` outside of any. */
  functionName(hit: Hit): string;
  /** The symbol at an address, with its offset: `main+0x12`; the number where there is none. */
  symbolName(hit: Hit, address: bigint): string;
  /** The process that `-c` or `-x` named; 0 where there is none. */
  readonly targetProcess: number;
  /** The system call that a syscall probe is about. */
  systemCall(hit: Hit): { readonly number: number; readonly name: string } | undefined;
  /** True in `.return` probes and for syscall results. */
  isReturn(hit: Hit): boolean;
}
