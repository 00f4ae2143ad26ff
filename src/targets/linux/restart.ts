import type { RegisterFile } from "../../arch/x86_64/registers.js";
import { TargetGone } from "../../base/errors.js";
import { ERRNO } from "../system-calls.js";
import { readStatus } from "./process-files.js";

/**
 * System calls that end with EINTR when a thread is stopped in them, even though no signal handler
 * runs. signal(7), "Interruption of system calls and library functions by stop signals"; sockets
 * with a timeout are among them. Not here: close (done all the same) and connect (goes on by itself).
 */
const ENDED_BY_STOPS: ReadonlySet<bigint> = new Set([
  0n, // read
  1n, // write
  19n, // readv
  20n, // writev
  43n, // accept
  44n, // sendto
  45n, // recvfrom
  46n, // sendmsg
  47n, // recvmsg
  65n, // semop
  128n, // rt_sigtimedwait
  208n, // io_getevents
  220n, // semtimedop
  232n, // epoll_wait
  281n, // epoll_pwait
  288n, // accept4
  299n, // recvmmsg
  307n, // sendmmsg
  333n, // io_pgetevents
  441n, // epoll_pwait2
]);

const SYSCALL_BYTES = 2n;
const INTERRUPTED = BigInt.asUintN(64, BigInt(-ERRNO.EINTR));

/**
 * Has a thread that our interrupt threw out of a system call make the call again, so that the
 * program sees nothing of it. (A relative timeout begins anew.) Where a signal is about to be
 * handled, EINTR is what it would have got anyway.
 */
export function restartInterrupted(thread: number, registers: RegisterFile): void {
  if (registers.read("rax") !== INTERRUPTED) return;
  const call = registers.read("orig_rax");
  if (!ENDED_BY_STOPS.has(call) || signalIsDue(thread)) return;
  registers.write("rip", registers.read("rip") - SYSCALL_BYTES);
  registers.write("rax", call);
}

function signalIsDue(thread: number): boolean {
  try {
    const status = readStatus(thread);
    return ((status.mask("SigPnd") | status.mask("ShdPnd")) & ~status.mask("SigBlk")) !== 0n;
  } catch (error) {
    if (error instanceof TargetGone) return false;
    throw error;
  }
}
