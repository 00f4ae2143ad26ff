/**
 * Signals that are sent to end a process and do end one that does not listen for them. Node runs
 * no `exit` listeners then.
 */
const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

const leaving = new Set<() => void>();

/**
 * Has something done, synchronously, before this process ends: by `process.exit`, by an exception
 * that nobody caught, or by a signal that nobody else listens for. A process that listens itself
 * decides itself what a signal does.
 *
 * @returns what takes it back
 */
export function beforeDeparture(leave: () => void): () => void {
  if (leaving.size === 0) listen();
  leaving.add(leave);
  return () => {
    if (leaving.delete(leave) && leaving.size === 0) ignore();
  };
}

function listen(): void {
  process.on("exit", leaveAll);
  for (const signal of ENDING_SIGNALS) process.on(signal, leaveBySignal);
}

function ignore(): void {
  process.off("exit", leaveAll);
  for (const signal of ENDING_SIGNALS) process.off(signal, leaveBySignal);
}

function leaveAll(): void {
  for (const leave of leaving) leave();
  leaving.clear();
}

function leaveBySignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  leaveAll();
  ignore();
  // With no listener left the signal ends the process, and whoever waits for it sees which one it was.
  process.kill(process.pid, signal);
}
