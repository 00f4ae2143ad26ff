import { type Address, addressOf, offsetBy, toBigInt } from "../../base/address.js";
import { MemoryFault, ProbeRefused, TargetGone } from "../../base/errors.js";
import type { Guard, SpaceId } from "../target.js";
import { mayCall, unmap } from "./injection.js";
import { ERRNO, SYS, systemCall4 } from "../system-calls.js";
import {
  ACTION_BYTES,
  SHELTER_LENGTH,
  SIG_IGN,
  type Shelter,
  asKernelKeeps,
  decodeAction,
  encodeAction,
} from "./shelter.js";
import { lend, makeShelter, readAction, setAction, setWish } from "./lending.js";
import { isUnfiltered } from "./seccomp.js";
import { SIG } from "../signals.js";
import type { Space, Thread } from "./threads.js";
import type { Tracing } from "./tracing.js";
import { setTrapBlocked } from "./trap-mask.js";
import { withStopped } from "./stop-for-a-moment.js";

/** The door through which the probe core says what the shelters are to know. */
export function guard(tracer: Tracing): Guard {
  const tell = (id: SpaceId, note: (shelter: Shelter) => void): void => {
    const space = tracer.book.space(id);
    if (space.shelter !== undefined) note(space.shelter);
    else space.noted?.push(note);
  };
  return {
    begin: (id) => {
      beginShelter(tracer, tracer.book.space(id));
    },
    breakpoint: (space, at, original) => {
      tell(space, (shelter) => {
        shelter.location(at, original);
      });
    },
    slots: (space, start, end) => {
      tell(space, (shelter) => {
        shelter.slots(start, end);
      });
    },
    exit: (space, at, kind, to) => {
      tell(space, (shelter) => {
        shelter.exit(at, kind, to);
      });
    },
    forget: (space, at) => {
      tell(space, (shelter) => {
        shelter.forget(at);
      });
    },
  };
}

/** Builds a shelter in a space that has none, in a thread that stands or is stopped for the purpose. */
function beginShelter(tracer: Tracing, space: Space): void {
  if (space.shelter !== undefined || space.noted !== undefined) return;
  space.noted = [];
  const threads = [...space.threads.values()];
  // One that no seccomp filter hinders, if there is any.
  const free = threads.find(isUnfiltered);
  if (free !== undefined) threads.unshift(free);
  for (const thread of threads) {
    if (!wantsShelter(space) || performance.now() < space.unresponsiveUntil) return;
    if (!thread.stopped)
      withStopped(tracer, thread, () => {
        buildShelter(tracer, thread);
      });
    else if (!thread.ending) buildShelter(tracer, thread);
  }
}

/** Whether a space is to have a shelter that could not be built yet: no thread of it could be stopped. */
export function wantsShelter(space: Space): boolean {
  return space.shelter === undefined && space.noted !== undefined;
}

/** Builds the shelter of a space that wants one, in a thread of it that is stopped. */
export function buildShelter(tracer: Tracing, thread: Thread): void {
  const { space } = thread;
  const near = space.memory.mappings().find((mapping) => mapping.executable && mapping.start > 0)?.start;
  const notes = space.noted ?? [];
  space.noted = undefined;
  if (near === undefined) return;
  try {
    const shelter = makeShelter(tracer, thread, near);
    for (const note of notes) note(shelter);
    space.shelter = shelter;
  } catch (error) {
    // The program is traced all the same; docs/safety.md says what it has to do without.
    if (!(error instanceof ProbeRefused || error instanceof TargetGone)) throw error;
    space.stub = undefined;
    // Its threads do not run: the first one that does will build it.
    if (performance.now() < space.unresponsiveUntil) space.noted = notes;
  }
}

/**
 * The last thread of a process that we still have gives its program's action back to the kernel,
 * and the memory, if nobody else uses it. All others are on their own already: had we died before,
 * the shelter would still have been there for them.
 * Where code was run in the thread, a signal that it stopped with is pending now.
 */
export function endShelter(tracer: Tracing, thread: Thread): void {
  const { space } = thread;
  const { shelter } = space;
  if (shelter === undefined || thread.ending || !mayCall(thread, SYS.rt_sigaction)) return;
  if (!shelter.strayed.has(thread.process))
    setAction(tracer, thread, shelter, shelter.wishOf(thread.process));
  // A thread may be in the handler on behalf of a signal of its own: then it stays.
  if (space.threads.size === 1 && !shelter.passed) {
    giveShelterBack(tracer, thread, shelter);
  }
}

function giveShelterBack(tracer: Tracing, thread: Thread, shelter: Shelter): void {
  const { space } = thread;
  space.stub = undefined;
  try {
    unmap(tracer, thread, shelter.start, SHELTER_LENGTH);
    space.shelter = undefined;
  } catch (error) {
    // Its filter lets it set actions, but not unmap: a few pages stay, which nothing uses any more.
    if (!(error instanceof ProbeRefused)) throw error;
    space.stub = shelter.stub;
  }
}

/** A thread executes a program that is not traced: a SIGTRAP that it ignores is ignored there. */
export function leaveIgnored(tracer: Tracing, thread: Thread): void {
  const { shelter } = thread.space;
  if (shelter === undefined || shelter.strayed.has(thread.process)) return;
  const wish = shelter.wishOf(thread.process);
  if (wish.handler === SIG_IGN && mayCall(thread, SYS.rt_sigaction)) setAction(tracer, thread, shelter, wish);
}

/**
 * A breakpoint was hit, or a step done, while the thread blocks SIGTRAP: the kernel has reset the
 * action for the whole process.
 */
export function repairAction(tracer: Tracing, thread: Thread): void {
  const { shelter } = thread.space;
  if (shelter === undefined || shelter.strayed.has(thread.process) || !mayCall(thread, SYS.rt_sigaction))
    return;
  lend(tracer, thread, shelter);
}

/**
 * A SIGTRAP is to be delivered that is the program's own.
 * @returns the signal to go on with: 0 where that is all that was to be done
 */
export function passOnTrap(tracer: Tracing, thread: Thread): number {
  const { shelter } = thread.space;
  if (shelter === undefined || shelter.strayed.has(thread.process)) return SIG.TRAP;
  tracer.fetchRegisters(thread);
  thread.mask.leave(thread.registers.sp);
  const wish = shelter.wishOf(thread.process);
  const ignored = wish.handler === SIG_IGN;
  const may = mayCall(thread, SYS.rt_sigaction);
  if (may && thread.trapped && (ignored || thread.mask.blocksTrap)) {
    // Its own int3, which nobody can block or ignore: the kernel kills.
    setAction(tracer, thread, shelter, { handler: 0n, flags: 0n, restorer: 0n, mask: 0n });
    shelter.strayed.add(thread.process);
    setTrapBlocked(thread, false);
    // It comes again, as one that was sent, and is not to be held back.
    thread.mask.letTrapIn();
    systemCall4(SYS.tgkill, thread.process, thread.id, SIG.TRAP, 0);
    return 0;
  }
  if (ignored && !thread.trapped) return 0;
  if (may && shelter.wishes.has(thread.process)) {
    // The handler knows the wish of one process only. The signal is pending behind this, and comes again.
    setAction(tracer, thread, shelter, wish);
    shelter.strayed.add(thread.process);
    return 0;
  }
  shelter.announce();
  return SIG.TRAP;
}

const SET_BYTES = 8n;
const SYSCALL_LENGTH = 2;

/**
 * rt_sigaction for SIGTRAP, by a thread that stands before the `syscall`: answered from what the
 * shelter keeps, and done with.
 */
export function answerSigaction(tracer: Tracing, thread: Thread): void {
  const { registers, space } = thread;
  const { shelter } = space;
  if (shelter === undefined || !mayCall(thread, SYS.rt_sigaction)) return;
  if (BigInt.asIntN(32, registers.read("rdi")) !== BigInt(SIG.TRAP) || registers.read("r10") !== SET_BYTES)
    return;
  const result = act(tracer, thread, shelter, registers.read("rsi"), registers.read("rdx"));
  const next = offsetBy(registers.pc, SYSCALL_LENGTH);
  registers.write("rax", BigInt(result));
  registers.write("rcx", toBigInt(next));
  registers.write("r11", BigInt(registers.eflags));
  registers.pc = next;
}

function act(tracer: Tracing, thread: Thread, shelter: Shelter, given: bigint, old: bigint): number {
  const { memory } = thread.space;
  const { process } = thread;
  const bytes = new Uint8Array(ACTION_BYTES);
  const before = shelter.strayed.has(process) ? readAction(tracer, thread, shelter) : shelter.wishOf(process);
  try {
    if (given !== 0n) {
      memory.read(pointer(given), bytes);
      const action = asKernelKeeps(decodeAction(bytes));
      if (shelter.strayed.has(process)) setAction(tracer, thread, shelter, action);
      else if (process === shelter.process) {
        // Pending signals are thrown away when they become ignored: that the kernel has to do.
        if (action.handler === SIG_IGN) setAction(tracer, thread, shelter, action);
        setWish(tracer, thread, shelter, action);
      } else shelter.wishes.set(process, action);
    }
    if (old !== 0n) memory.write(pointer(old), encodeAction(before));
    return 0;
  } catch (error) {
    if (error instanceof MemoryFault) return -ERRNO.EFAULT;
    throw error;
  }
}

function pointer(value: bigint): Address {
  const address = addressOf(value);
  if (address === undefined) throw new MemoryFault(value, "read", "not-canonical");
  return address;
}
