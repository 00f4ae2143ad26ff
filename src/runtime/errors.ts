import { HandlerError } from "../base/errors.js";

/**
 * A run-time error of a script: division by zero, a limit reached, `error()`. It ends the probe's
 * handler unless a `try` catches it (see {@link catchable}), and counts towards MAXERRORS. The message is SystemTap's word
 * for word, so that scripts that compare it and people who look it up find it.
 */
export class ScriptError extends HandlerError {
  /**
   * Where: `identifier 'a' at FILE:LINE:COLUMN` (a token as the lexer names it). The generated code
   * fills it in, once, where the error passes the statement that raised it.
   */
  near: string | undefined;

  constructor(message: string, near?: string) {
    super(message);
    this.near = near;
  }

  /** False for MAXACTION: a handler that ran too long must not go on in its catch part. */
  get catchable(): boolean {
    return this.message !== MESSAGES.actionLimit;
  }

  /** What `ERROR: ` prints. `catch (msg)` binds the bare `message`. */
  describe(): string {
    return this.near === undefined ? this.message : `${this.message} near ${this.near}`;
  }
}

/** The wording of every error that the runtime and generated code raise. SystemTap translate.cxx, tapset/*.stp. */
export const MESSAGES = {
  divisionByZero: "division by 0",
  actionLimit: "MAXACTION exceeded",
  nestingLimit: "MAXNESTING exceeded",
  emptyAggregate: "empty aggregate",
  histogramIndex: "histogram index out of range",
  stringPosition: "Position out of bounds",
  arrayOverflow: (declaredSize: number | undefined) =>
    `Array overflow, check ${declaredSize === undefined ? "MAXMAPENTRIES" : `size limit (${declaredSize})`}`,
  memoryDump: (bytes: bigint) => `${bytes} is too many bytes for a memory dump`,
} as const;
