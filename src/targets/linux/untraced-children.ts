import { addressOf, offsetBy, toBigInt } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import { SYS } from "../system-calls.js";
import { FREE_STACK } from "./mask-calls.js";
import type { Thread } from "./threads.js";

/** clone(2): the child is not traced though its maker is. */
const CLONE_UNTRACED = 0x0080_0000n;

/** A longer `struct clone_args` than any kernel knows is not looked at. clone(2), "clone3". */
const LONGEST_ARGUMENTS = 256;

/**
 * A thread is about to make a child; its registers are fetched. A child that nobody traces would
 * meet our breakpoints alone, in memory that it may share with its maker: so it is traced as others are.
 *
 * What was changed is put back by {@link finishClone}.
 */
export function keepChildTraced(thread: Thread, number: number): void {
  const { registers } = thread;
  const given = registers.read("rdi");
  if (number === SYS.clone && (given & CLONE_UNTRACED) !== 0n) {
    thread.cloneCall = given;
    registers.write("rdi", given & ~CLONE_UNTRACED);
  } else if (number === SYS.clone3) keepTracedByArguments(thread, given);
}

/** Has the call read its arguments from a copy below the stack: the program's own may be anybody's to read. */
function keepTracedByArguments(thread: Thread, given: bigint): void {
  const { registers, space } = thread;
  const at = addressOf(given);
  const length = Number(registers.read("rsi"));
  if (at === undefined || length < 8 || length > LONGEST_ARGUMENTS) return;
  const bytes = new Uint8Array(length);
  if (space.memory.readSome(at, bytes) < length) return;
  const view = new DataView(bytes.buffer);
  const flags = view.getBigUint64(0, true);
  if ((flags & CLONE_UNTRACED) === 0n) return;
  view.setBigUint64(0, flags & ~CLONE_UNTRACED, true);
  const copy = offsetBy(registers.sp, -(FREE_STACK + LONGEST_ARGUMENTS + (registers.sp & 7)));
  try {
    space.memory.write(copy, bytes);
  } catch (error) {
    // No stack to speak of: its handler of SIGTRAP, which is ours, is what the child has then.
    if (error instanceof MemoryFault) return;
    throw error;
  }
  thread.cloneCall = given;
  registers.write("rdi", toBigInt(copy));
}

/** The call is done, or its child stands at its beginning: the first argument is what it was. */
export function finishClone(thread: Thread, given: bigint | undefined): void {
  if (given !== undefined) thread.registers.write("rdi", given);
}
