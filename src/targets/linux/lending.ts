import { type Address, offsetBy } from "../../base/address.js";
import { ProbeRefused } from "../../base/errors.js";
import { mapNear, mayCall, systemCallIn } from "./injection.js";
import { SYS, errorName } from "../system-calls.js";
import { DATA, DATA_AT } from "./shelter-code.js";
import {
  ACTION_BYTES,
  SHELTER_LENGTH,
  SIG_IGN,
  Shelter,
  type SignalAction,
  decodeAction,
  encodeAction,
} from "./shelter.js";
import { SIG } from "../signals.js";
import type { Thread } from "./threads.js";
import type { Tracing } from "./tracing.js";

const PROT_READ_WRITE = 3;
const SET_BYTES = 8;

/**
 * Lends a space its handler.
 *
 * @param thread stopped, of the space
 * @throws ProbeRefused no memory can be mapped there, or a seccomp filter forbids it
 * @throws TargetGone   it was killed meanwhile
 */
export function makeShelter(tracer: Tracing, thread: Thread, near: Address): Shelter {
  for (const number of [SYS.mprotect, SYS.rt_sigaction])
    if (!mayCall(thread, number))
      throw new ProbeRefused(near, "seccomp", `thread ${thread.id} must not be made to call the kernel`);
  const base = mapNear(tracer, thread, near, SHELTER_LENGTH);
  const { space } = thread;
  const made = new Shelter(space.memory, base, thread.process);
  made.fill();
  space.stub = made.stub;
  const result = systemCallIn(tracer, thread, near, SYS.mprotect, [
    offsetBy(base, DATA_AT),
    SHELTER_LENGTH - DATA_AT,
    PROT_READ_WRITE,
  ]);
  if (result < 0)
    throw new ProbeRefused(near, "no-room", `the program cannot map memory for it: ${errorName(result)}`);
  setWish(tracer, thread, made, readAction(tracer, thread, made));
  if (space.inherited?.handler === SIG_IGN) setWish(tracer, thread, made, space.inherited);
  return made;
}

/** The program sets its action: kept in the shelter, and the kernel's made to be like it in all but the handler. */
export function setWish(tracer: Tracing, thread: Thread, shelter: Shelter, wish: SignalAction): void {
  shelter.keepWish(wish);
  setAction(tracer, thread, shelter, shelter.lent(wish));
}

/** Gives the kernel our handler again: where SIGTRAP was blocked, a breakpoint has reset it. */
export function lend(tracer: Tracing, thread: Thread, shelter: Shelter): void {
  setAction(tracer, thread, shelter, shelter.lent(shelter.wish));
}

/** What the kernel really has, in the thread's process. */
export function setAction(tracer: Tracing, thread: Thread, shelter: Shelter, action: SignalAction): void {
  const at = shelter.data(DATA.action);
  thread.space.memory.writeText(at, encodeAction(action));
  systemCallIn(tracer, thread, shelter.start, SYS.rt_sigaction, [SIG.TRAP, at, 0, SET_BYTES]);
}

export function readAction(tracer: Tracing, thread: Thread, shelter: Shelter): SignalAction {
  const former = shelter.data(DATA.former);
  systemCallIn(tracer, thread, shelter.start, SYS.rt_sigaction, [SIG.TRAP, 0, former, SET_BYTES]);
  const bytes = new Uint8Array(ACTION_BYTES);
  thread.space.memory.read(former, bytes);
  return decodeAction(bytes);
}
