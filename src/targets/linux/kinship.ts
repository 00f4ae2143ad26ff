import { TargetError, TargetGone } from "../../base/errors.js";
import { ERRNO, SYS, errorName, systemCall } from "../system-calls.js";
import { readStatus } from "./process-files.js";

/** kcmp(2), `KCMP_VM`. */
const KCMP_VM = 1;

/** Whether two threads have one address space. @throws TargetGone one of them ended */
export function sharesMemory(one: number, other: number): boolean {
  const result = systemCall(SYS.kcmp, one, other, KCMP_VM, 0, 0);
  if (result >= 0) return result === 0;
  if (result === -ERRNO.ESRCH) throw new TargetGone(`thread ${other} is gone`);
  throw new TargetError(
    `cannot compare the address spaces of threads ${one} and ${other}: ${errorName(result)}`,
    {
      remedy: "use a kernel with CONFIG_KCMP",
    },
  );
}

/** Whether the target has a handler of its own for a signal: then a return from it can be watched for. */
export function isCaught(thread: number, signal: number): boolean {
  const mask = readStatus(thread).mask("SigCgt");
  return (mask & (1n << BigInt(signal - 1))) !== 0n;
}
