/**
 * One of a command's outputs as the guest sends it: the command's own bytes, then a mark that says that
 * nothing follows. The mark may come in pieces.
 */
export class MarkedOutput {
  private held: Buffer = Buffer.alloc(0);
  private finish: () => void = () => undefined;
  /** All has arrived. */
  readonly ended = new Promise<void>((resolve) => {
    this.finish = resolve;
  });

  constructor(
    private readonly mark: Buffer,
    private readonly sink: (bytes: Uint8Array) => void,
  ) {}

  add(bytes: Uint8Array): void {
    const all = Buffer.concat([this.held, bytes]);
    const at = all.indexOf(this.mark);
    const keep = at >= 0 ? 0 : beginningsAtEnd(all, this.mark);
    this.pass(all.subarray(0, at >= 0 ? at : all.length - keep));
    // What comes behind the mark is of programs that the command left behind: nobody waits for it.
    this.held = Buffer.from(all.subarray(all.length - keep));
    if (at >= 0) this.finish();
  }

  /** The machine is gone: what was held back was no mark. */
  cut(): void {
    this.pass(this.held);
    this.held = Buffer.alloc(0);
    this.finish();
  }

  private pass(bytes: Uint8Array): void {
    if (bytes.length > 0) this.sink(bytes);
  }
}

/** How many of the last bytes may be the beginning of the mark. */
function beginningsAtEnd(bytes: Buffer, mark: Buffer): number {
  for (let length = Math.min(mark.length - 1, bytes.length); length > 0; length--)
    if (bytes.subarray(bytes.length - length).equals(mark.subarray(0, length))) return length;
  return 0;
}
