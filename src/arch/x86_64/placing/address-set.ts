/** A set of addresses of one stretch of text, at a bit for each byte of it. */
export class AddressSet {
  private readonly bits: Uint32Array;

  /** @param start the first address that can be in it; @param length how many can */
  constructor(
    readonly start: number,
    readonly length: number,
  ) {
    this.bits = new Uint32Array((length + 31) >>> 5);
  }

  /** One that lies outside of the stretch is not taken. */
  add(address: number): void {
    const index = address - this.start;
    if (index < 0 || index >= this.length) return;
    this.bits[index >>> 5] = (this.bits[index >>> 5] as number) | (1 << (index & 31)); // in range
  }

  has(address: number): boolean {
    const index = address - this.start;
    if (index < 0 || index >= this.length) return false;
    return ((this.bits[index >>> 5] as number) & (1 << (index & 31))) !== 0; // in range
  }
}
