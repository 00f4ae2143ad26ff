/** How many files a process may have open. */
export interface OpenFilesLimit {
  readonly soft: bigint;
  readonly hard: bigint;
}

const UNLIMITED = 2n ** 64n - 1n;

/** From the contents of `/proc/PID/limits`; undefined where they do not tell. proc_pid_limits(5). */
export function parseOpenFilesLimit(limits: string): OpenFilesLimit | undefined {
  const match = /^Max open files +(\d{1,20}|unlimited) +(\d{1,20}|unlimited) /m.exec(limits);
  if (match === null) return undefined;
  const value = (word = "unlimited"): bigint =>
    word === "unlimited" ? UNLIMITED : BigInt.asUintN(64, BigInt(word));
  return { soft: value(match[1]), hard: value(match[2]) };
}
