/** Length of the shared buffer that another thread and the tracer talk through, bytes. */
export const DOORBELL_BYTES = 16;

/** Indexes in that buffer, as 32-bit words. */
export const DOORBELL = {
  /** 1: the bell was rung and not yet heard. */
  rung: 0,
  /** TID of the tracer's thread; 0: none waits. */
  tracer: 1,
  /** How often the starvation guard had to help. */
  starved: 2,
  /** 1: the tracer runs beside a thread, with SCHED_IDLE. */
  beside: 3,
} as const;
