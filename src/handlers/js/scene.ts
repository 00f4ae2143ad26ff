import type { Hit } from "../../probes/probe.js";

/** A symbol that an address is in. */
export interface SceneSymbol {
  readonly name: string;
  /** Of the address in it. */
  readonly offset: number;
  /** Bytes; 0 where it is not known. */
  readonly size: number;
  /** `"kernel"`, a module's name, a program's path. */
  readonly module: string;
}

/** The system call under way. */
export interface SystemCallFacts {
  readonly number: number;
  readonly name: string;
  /** Where they are not in the registers of the hit. */
  readonly arguments?: readonly bigint[];
}

/** What only the session knows about a hit: names of places, the system call under way, the target. */
export interface Scene {
  /** The probe point as it matched: `process("/bin/ls").function("main")`. */
  pointName(hit: Hit): string;
  /** Where the probe is: of a function's entry, the function's first instruction, wherever its breakpoint stands. */
  probeAddress(hit: Hit): bigint;
  /** The function that the hit is in (the one that returns, at a return); `""` outside of any. */
  functionName(hit: Hit): string;
  /** The process that `-c` or `-x` named; 0 where there is none. */
  readonly targetProcess: number;
  /** Number of the process that the hit is in. */
  process(hit: Hit): number;
  /** Number of the thread, as the target has it. */
  thread(hit: Hit): number;
  /** The system call that a syscall probe is about. */
  systemCall(hit: Hit): SystemCallFacts | undefined;
  /**
   * Where a variable with static storage is now, for the processor that the hit is on where each has its own.
   *
   * @param image as the variable's module said it, see StaticVariable of the language
   * @returns undefined where the image is not loaded
   */
  variableAddress(hit: Hit, image: string, address: bigint, perCpu: boolean): bigint | undefined;
  /**
   * Return addresses from the hit outwards, the hit's own place first; as far as the stack can be followed.
   * Undefined where nobody can unwind it.
   */
  backtrace(hit: Hit, stack: "kernel" | "user"): readonly bigint[] | undefined;
  /** What stands at an address, and whose it is: undefined where there is no symbol. */
  symbolAt(hit: Hit, address: bigint): SceneSymbol | undefined;
  /** The current task's `task_struct`; undefined where the target has none. */
  currentTask(hit: Hit): bigint | undefined;
  /** Nanoseconds from some moment on, as the target has them: they stand where it was made to stand. */
  clock(): bigint;
  /** True in `.return` probes and for syscall results. */
  isReturn(hit: Hit): boolean;
}
