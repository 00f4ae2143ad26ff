import { TargetError, TraplineError, UsageError } from "../../base/errors.js";
import { ScriptProblem } from "../../script/errors.js";

/** What a session failed with, as it crosses from its thread to the command line. */
export interface Problem {
  /** Whole lines for standard error. */
  readonly text: string;
  readonly status: 1 | 2;
}

/** Sentences and exit status of an error that was thrown on purpose; a bug is thrown on. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ScriptProblem) {
    const closing =
      error.pass === "parse"
        ? "Pass 1: parse failed.  [man error::pass1]"
        : "Pass 2: analysis failed.  [man error::pass2]";
    return { text: `${error.message}\n${closing}\n`, status: 1 };
  }
  if (!(error instanceof TraplineError)) throw error;
  const status = error instanceof UsageError || error instanceof TargetError ? 2 : 1;
  const remedy = error.remedy === undefined ? "" : ` (${error.remedy})`;
  return { text: `ERROR: ${error.message}${remedy}\n`, status };
}
