import type { Address } from "../../../base/address.js";
import { digitOf, encodeHex } from "./hex.js";
import { escapeBinary } from "./packets.js";

const HALF = 2 ** 32;

/** The data of one packet to be sent, in memory that is used again for the next. */
export class PacketBuilder {
  bytes = new Uint8Array(1024);
  length = 0;

  /** Begins anew. Text must be ASCII. */
  start(text: string): this {
    this.length = 0;
    return this.text(text);
  }

  text(text: string): this {
    this.reserve(text.length);
    for (let index = 0; index < text.length; index++) this.bytes[this.length++] = text.charCodeAt(index);
    return this;
  }

  /** A number of up to 53 bits, in hexadecimal; addresses of the upper half as 64 bits. */
  hex(value: number | Address): this {
    this.reserve(16);
    const high = Math.floor(value / HALF) >>> 0;
    if (high !== 0) {
      this.digits(high, 1);
      this.digits(value >>> 0, 8);
    } else this.digits(value >>> 0, 1);
    return this;
  }

  /** Two digits a byte. */
  hexBytes(bytes: Uint8Array, start = 0, end: number = bytes.length): this {
    this.reserve(2 * (end - start));
    this.length = encodeHex(bytes, start, end, this.bytes, this.length);
    return this;
  }

  /**
   * Escaped binary data, as far as the whole packet's data has no more than `limit` bytes.
   *
   * @returns bytes taken
   */
  binary(bytes: Uint8Array, start: number, end: number, limit: number): number {
    this.reserve(Math.min(2 * (end - start), Math.max(0, limit - this.length)));
    const { taken, end: at } = escapeBinary(bytes, start, end, this.bytes, this.length, limit);
    this.length = at;
    return taken;
  }

  toString(): string {
    return Buffer.from(this.bytes.buffer, 0, this.length).toString("latin1");
  }

  private digits(value: number, least: number): void {
    let count = least;
    while (count < 8 && value >>> (4 * count) !== 0) count++;
    for (let index = count - 1; index >= 0; index--)
      this.bytes[this.length++] = digitOf(value >>> (4 * index));
  }

  private reserve(more: number): void {
    const wanted = this.length + more;
    if (wanted <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(wanted, 2 * this.bytes.length));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}
