import type { Address } from "../../../base/address.js";
import { offsetBy } from "../../../base/address.js";
import type { Exchange } from "./exchange.js";
import { decodeHex } from "./hex.js";
import type { PacketBuilder } from "./packet-builder.js";
import { unescapeBinary } from "./packets.js";

/** Memory is readable, or not, by whole pages. */
const PAGE = 4096;
const LETTER_B = 0x62;
/** `M`, an address, a length and what stands between. */
const LONGEST_HEADER = 32;

/** Memory as the thread selected for `g` sees it. */
export class MemoryAccess {
  /** Does the stub take binary data (`X`)? Undefined: not asked yet. */
  private writesBinary: boolean | undefined;

  /**
   * @param readsBinary the stub has `x`
   */
  constructor(
    private readonly exchange: Exchange,
    private readonly packet: PacketBuilder,
    private readonly packetSize: number,
    private readonly readsBinary: boolean,
  ) {}

  /**
   * Reads as far as memory is there.
   *
   * @returns bytes read, up to the first that cannot be read
   */
  read(at: Address, into: Uint8Array, start: number, length: number): number {
    // Two digits a byte; a binary byte takes two at worst, too.
    const most = this.packetSize >> 1;
    let done = 0;
    while (done < length) {
      const wanted = Math.min(most, length - done);
      const got = this.readOnce(offsetBy(at, done), into, start + done, wanted);
      done += got;
      if (got === wanted) continue;
      if (got > 0) continue;
      // The stub refuses a range of which a part is not there: what stands before that part can be read.
      const whole = this.readByPages(offsetBy(at, done), into, start + done, wanted);
      return done + whole;
    }
    return done;
  }

  /** @returns bytes written, all or fewer: up to a piece of which the stub refused a part */
  write(at: Address, from: Uint8Array, start: number, length: number): number {
    let done = 0;
    while (done < length) {
      const got = this.writeOnce(offsetBy(at, done), from, start + done, length - done);
      if (got === 0) return done;
      done += got;
    }
    return done;
  }

  private readByPages(at: Address, into: Uint8Array, start: number, length: number): number {
    let done = 0;
    while (done < length) {
      const here = offsetBy(at, done);
      const toPage = PAGE - (((here % PAGE) + PAGE) % PAGE);
      const wanted = Math.min(toPage, length - done);
      // All of it was refused already.
      if (wanted === length) return 0;
      const got = this.readOnce(here, into, start + done, wanted);
      done += got;
      if (got < wanted) return done;
    }
    return done;
  }

  private readOnce(at: Address, into: Uint8Array, start: number, wanted: number): number {
    const { exchange, packet } = this;
    exchange.ask(
      packet
        .start(this.readsBinary ? "x" : "m")
        .hex(at)
        .text(",")
        .hex(wanted),
    );
    if (exchange.errorCode() !== undefined) return 0;
    const what = "read memory";
    if (this.readsBinary) {
      if (exchange.reply[0] !== LETTER_B || exchange.replyLength === 0) throw exchange.unexpected(what);
      const end = unescapeBinary(exchange.reply, 1, exchange.replyLength);
      if (end < 0 || end - 1 > wanted) throw exchange.nonsense(what);
      into.set(exchange.reply.subarray(1, end), start);
      return end - 1;
    }
    const { replyLength } = exchange;
    if (replyLength === 0) throw exchange.unexpected(what);
    if (replyLength % 2 !== 0 || replyLength > 2 * wanted) throw exchange.nonsense(what);
    const got = decodeHex(exchange.reply, 0, replyLength, into, start);
    if (2 * got !== replyLength) throw exchange.nonsense(what);
    return got;
  }

  private writeOnce(at: Address, from: Uint8Array, start: number, left: number): number {
    const { exchange, packet } = this;
    this.writesBinary ??= this.probe();
    const room = this.packetSize - LONGEST_HEADER;
    let taken: number;
    if (this.writesBinary) {
      // The length stands before the data, and how much fits is known behind it: half of it always does.
      taken = Math.min(left, Math.max(1, room >> 1));
      packet.start("X").hex(at).text(",").hex(taken).text(":");
      packet.binary(from, start, start + taken, this.packetSize);
    } else {
      taken = Math.min(left, Math.max(1, room >> 1));
      packet
        .start("M")
        .hex(at)
        .text(",")
        .hex(taken)
        .text(":")
        .hexBytes(from, start, start + taken);
    }
    exchange.ask(packet);
    if (exchange.is("OK")) return taken;
    if (exchange.errorCode() !== undefined) return 0;
    throw exchange.unexpected("write memory");
  }

  /** An empty write tells, as gdb does it. */
  private probe(): boolean {
    this.exchange.ask(this.packet.start("X0,0:"));
    return this.exchange.is("OK");
  }
}
