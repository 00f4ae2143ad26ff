import type { LinuxTarget } from "../../../src/targets/linux/target.js";
import type { ThreadId } from "../../../src/targets/target.js";

/** What workers use too: nothing here may touch the test runner. */

export const INT3 = Uint8Array.of(0xcc);

export function mainThread(target: LinuxTarget): ThreadId {
  for (const thread of target.threads()) return thread;
  throw new Error("no thread");
}
