/** What a command of the guest printed, piece by piece. */
export interface CommandSinks {
  readonly output: (bytes: Uint8Array) => void;
  readonly error: (bytes: Uint8Array) => void;
}

/** A command that stands in the guest, before its exec. */
export interface GuestCommand {
  /** Its process id in the guest. */
  readonly pid: number;
  /** Lets it go. */
  start(): void;
  /**
   * Its exit status as a shell says it, with all output told. Rejects with a TargetError where the machine
   * ends before.
   */
  readonly ended: Promise<number>;
}
