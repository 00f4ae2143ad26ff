import type { ProbedCodes } from "../../script/probed-code.js";
import type { Parsed } from "../../script/compile.js";
import type { Sources } from "../../script/errors.js";
import type { Tracee } from "../images.js";
import type { KnownPoints } from "./known-points.js";

/** A target that is open: stopped, or traced. */
export interface OpenSubject {
  readonly tracee: Tracee;
  /** What `target()` gives; 0: none was named. */
  readonly process: number;
  /** It stands until all is armed, and is then set going. */
  readonly isHeld: boolean;
}

/**
 * What a script is run on: programs, or a kernel. It knows which points there are before anything runs, and
 * opens the target when it is time. Chosen once, by the options of the session.
 */
export interface Subject extends Disposable {
  /** There is something to trace: a session without ends by a timer, or by Ctrl-C. */
  readonly hasTarget: boolean;
  points(): KnownPoints;
  /** Whom the language asks about context variables; undefined: nobody knows any. */
  codes(sources: Sources): ProbedCodes | undefined;
  /** Gets at hand what a script's points need of a running target before they can be compiled. */
  prepare(parsed: Parsed): Promise<void>;
  /**
   * @param notice is told what there is to be known of the target and was not asked for
   * @throws TargetError the target cannot be had
   */
  open(notice: (text: string) => void): Promise<OpenSubject>;
}

/** For the compiler, which is not to be given `undefined`. */
export function codesOf(subject: Pick<Subject, "codes">, sources: Sources): { readonly codes?: ProbedCodes } {
  const codes = subject.codes(sources);
  return codes === undefined ? {} : { codes };
}
