/** A thread (or a process) as a stub names it; one object for each, so that they can be compared and looked up. */
export interface StubThread {
  /** As it is sent: `p1.2`, `2`; hexadecimal, without leading zeros. */
  readonly text: string;
  /** Undefined where the stub knows no processes. */
  readonly process: number | undefined;
  readonly thread: number;
}

const FORM = /^(?:p([0-9a-f]{1,16}|-1)(?:\.|$))?([0-9a-f]{1,16}|-1)?$/i;
/** More threads than any program can have; a stub that names more is making them up. */
const MOST = 4_194_304;

/** The thread ids that a stub has named. GDB manual, "Packets", thread-id syntax. */
export class ThreadIds {
  private readonly known = new Map<string, StubThread>();

  /** @returns undefined where the text is no thread id, or one of "any" or "all" */
  parse(text: string): StubThread | undefined {
    const known = this.known.get(text);
    if (known !== undefined) return known;
    const match = FORM.exec(text);
    const [, process, thread] = match ?? [];
    if (match === null || thread === undefined) return undefined;
    const canonical = process === undefined ? plain(thread) : `p${plain(process)}.${plain(thread)}`;
    const same = this.known.get(canonical);
    if (same !== undefined) return same;
    const number = numberOf(thread);
    if (number <= 0 || this.known.size >= MOST) return undefined;
    const made: StubThread = {
      text: canonical,
      process: process === undefined ? undefined : numberOf(process),
      thread: number,
    };
    this.known.set(canonical, made);
    return made;
  }

  /** Forgets a thread that has ended: a later one with its number is another. */
  forget(thread: StubThread): void {
    this.known.delete(thread.text);
  }
}

function plain(digits: string): string {
  return digits.toLowerCase().replace(/^0+(?=.)/, "");
}

function numberOf(digits: string): number {
  return digits === "-1" ? -1 : Number.parseInt(digits, 16);
}
