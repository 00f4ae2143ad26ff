/** Bits of a stream, the highest of each byte first. */
export class BitReader {
  private held = 0;
  private count = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
    /** What is thrown where the stream ends. */
    private readonly ended: () => Error,
  ) {}

  /** @param count 1 … 24 */
  read(count: number): number {
    while (this.count < count) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw this.ended();
      this.at += 1;
      // What does not fit was read before.
      this.held = ((this.held << 8) | byte) >>> 0;
      this.count += 8;
    }
    this.count -= count;
    return (this.held >>> this.count) & ((1 << count) - 1);
  }
}
