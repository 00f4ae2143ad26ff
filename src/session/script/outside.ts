/** A machine that was booted for this session. */
export interface GuestMachine {
  /** Where its stub listens, as `--gdb` has it. */
  readonly gdb: string;
  /** The process that is to become the command; undefined: there is no command. */
  readonly process: number | undefined;
}

/** What the world outside of the session's thread tells it. */
export interface Outside {
  readonly doorbell: SharedArrayBuffer;
  /** 0: go on; 1: end as `exit()` does; 2: end at once. */
  stopRequest(): number;
  /** Exit status of the command that a guest ran, once it has ended, as its shell says it. */
  commandStatus(): number | undefined;
  /** Waits until somebody rings, at most until a time. For sessions without a target. */
  idle(until: number): void;
  /** The machine of a lab, once it is up, and its command, if there is one, stands before its exec. */
  machine(): Promise<GuestMachine>;
  /** All is armed: a command that was held back for it may go. */
  armed(): void;
}
