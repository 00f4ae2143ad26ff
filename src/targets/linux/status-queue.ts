/** Wait statuses that were collected and not yet looked at, first in, first out. Reuses its memory. */
export class StatusQueue {
  private words = new Int32Array(128);
  private head = 0;
  private tail = 0;
  /** What `shift` took out. */
  thread = 0;
  status = 0;

  push(thread: number, status: number): void {
    if (this.tail === this.words.length) this.makeRoom();
    this.words[this.tail++] = thread;
    this.words[this.tail++] = status;
  }

  /** @returns false where it is empty */
  shift(): boolean {
    if (this.head === this.tail) return false;
    this.thread = this.words[this.head++] as number; // both are below tail
    this.status = this.words[this.head++] as number;
    if (this.head === this.tail) this.head = this.tail = 0;
    return true;
  }

  /** Takes a thread's status out before its turn, if it is one of these. */
  withdraw(thread: number, wanted: (status: number) => boolean): number | undefined {
    for (let at = this.head; at < this.tail; at += 2) {
      const status = this.words[at + 1] as number; // at + 1 < tail
      if (this.words[at] !== thread || !wanted(status)) continue;
      this.words.copyWithin(at, at + 2, this.tail);
      this.tail -= 2;
      return status;
    }
    return undefined;
  }

  private makeRoom(): void {
    const left = this.words.subarray(this.head, this.tail);
    const words = new Int32Array(Math.max(this.words.length, 4 * left.length));
    words.set(left);
    this.words = words;
    this.tail = left.length;
    this.head = 0;
  }
}
