export type Phase = "pre" | "post" | "fault";

/** An exception that the probed instruction raised: case 3 of the mail. */
export interface InstructionFault {
  /** `"SIGSEGV"`, or the exception's mnemonic on a target that has no signals. */
  readonly name: string;
  /** Signal or vector number. */
  readonly number: number;
  /** `si_code` or the error code. */
  readonly code: number;
  /** Address accessed, where the exception has one. */
  readonly address: bigint | undefined;
  /** Restartable, and the target has a handler that can return to the instruction. */
  readonly retryable: boolean;
}
