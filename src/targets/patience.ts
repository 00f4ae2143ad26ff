/** How long threads are waited for that do not stop: in D state, or the parent of a running vfork child; milliseconds. */
const PATIENCE = 1000;
/** How long, while one of them could run, and on a busy machine has not had its turn. */
const LONGEST_PATIENCE = 30_000;

/** How long we wait for threads that we have asked to stop; it begins when it is made. */
export class Patience {
  private readonly end: number;
  #until: number;

  constructor() {
    const now = performance.now();
    this.#until = now + PATIENCE;
    this.end = now + LONGEST_PATIENCE;
  }

  /** To wait until, as the time of performance.now(). */
  get until(): number {
    return this.#until;
  }

  /**
   * After a wait that brought nothing: go on waiting?
   *
   * @param mayRun whether one of the threads could run; asked only where the time is up
   */
  lasts(mayRun: () => boolean): boolean {
    if (performance.now() < this.#until) return true;
    if (this.#until >= this.end || !mayRun()) return false;
    this.#until += PATIENCE;
    return true;
  }
}
