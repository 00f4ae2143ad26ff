import { TargetGone } from "./errors.js";

/**
 * SIGKILL may come between any two of our calls. A thread that is gone needs nothing of us, and its end
 * is reported by itself.
 *
 * @returns what the body returns, or undefined where the target was gone
 */
export function unlessGone<Result>(body: () => Result): Result | undefined {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof TargetGone)) throw error;
    return undefined;
  }
}
