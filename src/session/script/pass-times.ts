/** `-v`: what each pass made and how long it took, in SystemTap's words. */
export class PassTimes {
  private began = performance.now();

  /** @param say undefined: nothing is said */
  constructor(private readonly say: ((line: string) => void) | undefined) {}

  /** @param what `"Pass 2: analyzed script: 1 probe"` */
  ended(what: string): void {
    const now = performance.now();
    this.say?.(`${what} in ${(now - this.began).toFixed(now - this.began < 10 ? 1 : 0)} ms.`);
    this.began = now;
  }

  begins(what: string): void {
    this.say?.(what);
    this.began = performance.now();
  }
}

/** `"1 probe"`, `"2 probes"`. */
export function counted(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? "" : "s"}`;
}
