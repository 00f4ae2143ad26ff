/** The words by which the main thread tells a session's thread, which waits for a target, of its end. */
export const STOP_WORDS = {
  /** See `Outside.stopRequest`. */
  request: 0,
  /** 0: the guest's command has not ended; n + 1: it has, with exit status n. */
  commandStatus: 1,
} as const;

export const STOP_BYTES = 8;
