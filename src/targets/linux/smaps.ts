import type { Address } from "../../base/address.js";

/**
 * Whether a mapping has a userfaultfd, by the contents of `/proc/PID/smaps`. um: pages missing, uw:
 * write-protected, ui: minor. proc_pid_smaps(5).
 *
 * @param start of the mapping, in the lower half
 */
export function showsUserfaultfd(smaps: string, start: Address): boolean {
  const head = start.toString(16).padStart(8, "0");
  const from = smaps.startsWith(`${head}-`) ? 0 : smaps.indexOf(`\n${head}-`);
  if (from < 0) return false;
  const flags = /\nVmFlags: (.*)/.exec(smaps.slice(from))?.[1] ?? "";
  return /\bu[mwi]\b/.test(flags);
}
