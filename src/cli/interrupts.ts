import type { Interrupts } from "../session/options.js";

/**
 * Ctrl-C ends a session as `exit()` does, twice at once; a request to terminate and a closed
 * terminal count as the first.
 */
export function listenForInterrupts(): Interrupts {
  let count = 0;
  const listeners: ((count: number) => void)[] = [];
  const interrupt = (): void => {
    count++;
    for (const listener of listeners) listener(count);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  return { onInterrupt: (listener) => listeners.push(listener) };
}
