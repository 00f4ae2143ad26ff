import { type Address, offsetBy } from "../../src/base/address.js";
import type { RegisterFile } from "../../src/arch/x86_64/registers.js";
import type {
  Breakpoints,
  Memory,
  ReturnToken,
  SignalInfo,
  SpaceId,
  Stop,
  ThreadId,
} from "../../src/targets/target.js";
import { FakeMemory } from "./fake-memory.js";
import { AT, dataOf, PAGE, PROGRAM, stackOf, TEXT } from "./fake-program.js";

/** `int3`. */
export const BREAKPOINT = 0xcc;

/** What the fake program does about a signal, decided by the script of the test. */
export type SignalHandling = "return" | "jump" | "die" | "ignore";

/** What the next system call of a thread is. */
export type SystemCall = "plain" | "fork" | "exec" | "exit";

export interface Thread {
  readonly id: ThreadId;
  readonly registers: RegisterFile;
  /** Whose stack and data it uses: its own, or its parent's copied. */
  owner: ThreadId;
  space: SpaceId;
  memory: FakeMemory;
  /** `stopping`: stopped, but whoever waits has not been told yet. */
  state: "running" | "stopping" | "stopped" | "gone";
  /** The instruction that it would execute next, were it alone in the world. */
  place: number;
  pending: Pending | undefined;
  frames: Frame[];
  returning: { readonly token: ReturnToken; readonly to: Address } | undefined;
  systemCall: SystemCall;
  ending: boolean;
  /** To be stopped behind the next instruction. */
  steps: boolean;
  /** To execute the next instruction, whose first byte this is, in its place before anything else happens. */
  inPlace: number | undefined;
  /** A signal comes before the next instruction that is executed in its place. */
  defers: SignalHandling | undefined;
}

export interface Pending {
  readonly signal: SignalInfo;
  readonly handling: SignalHandling;
}

/** What a signal handler returns to. */
export interface Frame {
  readonly place: number;
  readonly sp: Address;
  readonly token: ReturnToken;
  /** What it puts right before it returns. */
  readonly fault: Address | undefined;
}

export function raised(
  thread: ThreadId,
  signal: SignalInfo,
  raisedAs: "fault" | "trap",
  retryable: boolean,
): Stop {
  const { name, number, address } = signal;
  return {
    kind: "instruction-fault",
    thread,
    exception: { name, vector: number, errorCode: 0, address, raisedAs, retryable },
  };
}

export function dataPointer(registers: RegisterFile): Address {
  return Number(registers.read("rbx")) as Address;
}

export function begin(thread: Thread, place: number = AT.nop): void {
  thread.place = place;
  thread.registers.pc = offsetBy(TEXT, place);
  thread.registers.sp = offsetBy(stackOf(thread.owner), PAGE);
  thread.registers.write("rbx", BigInt(dataOf(thread.owner)));
}

export function freshMemory(): FakeMemory {
  const memory = new FakeMemory();
  memory.map(TEXT, PROGRAM.length);
  memory.writeText(TEXT, PROGRAM);
  return memory;
}

/** Breakpoints of a target that keeps them itself, in the text of a space. */
export function keptBreakpoints(memoryOf: (space: SpaceId) => Memory): Breakpoints {
  const read = (space: SpaceId, at: Address): number | undefined => {
    const byte = new Uint8Array(1);
    return memoryOf(space).readSome(at, byte) === 1 ? byte[0] : undefined;
  };
  return {
    visible: true,
    insert: (space, at) => {
      if (read(space, at) === BREAKPOINT) throw new Error("a breakpoint is put in twice");
      memoryOf(space).writeText(at, Uint8Array.of(BREAKPOINT));
    },
    remove: (space, at) => {
      if (read(space, at) !== BREAKPOINT) return false;
      memoryOf(space).writeText(at, Uint8Array.of(PROGRAM[at - TEXT] ?? 0));
      return true;
    },
  };
}
