import { digitOf, digitValue } from "./hex.js";

/**
 * Packets of the GDB remote serial protocol: `$` data `#` checksum, `%` for notifications.
 * GDB manual, appendix "GDB Remote Serial Protocol", Overview and Notification Packets.
 */

const DOLLAR = 0x24;
const PERCENT = 0x25;
const HASH = 0x23;
const STAR = 0x2a;
const PLUS = 0x2b;
const MINUS = 0x2d;
const BRACE = 0x7d;
const ESCAPE = 0x20;
/** A run's count is a printable character: this much is subtracted. */
const RUN_BIAS = 29;
const SMALLEST_RUN = 3;

/** `$`, two digits and `#`. */
export const FRAME_BYTES = 4;

/**
 * Writes a packet around its data.
 *
 * @param data  as it goes over the line; binary data has been escaped, see {@link escapeBinary}
 * @returns the packet's length; from `offset` on `into` must have room for it, `length` + {@link FRAME_BYTES}
 */
export function framePacket(data: Uint8Array, length: number, into: Uint8Array, offset = 0): number {
  into[offset] = DOLLAR;
  let sum = 0;
  for (let index = 0; index < length; index++) {
    const byte = data[index] as number; // below the length
    sum += byte;
    into[offset + index + 1] = byte;
  }
  into[offset + length + 1] = HASH;
  into[offset + length + 2] = digitOf(sum >> 4);
  into[offset + length + 3] = digitOf(sum);
  return length + FRAME_BYTES;
}

/** Must this byte be escaped in binary data? */
function isSpecial(byte: number): boolean {
  return byte === HASH || byte === DOLLAR || byte === BRACE || byte === STAR;
}

/**
 * Appends binary data, escaped, as far as there is room.
 *
 * @param limit end of the room in `into`
 * @returns bytes of `from` that were written, and where they end
 */
export function escapeBinary(
  from: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
  offset: number,
  limit: number,
): { readonly taken: number; readonly end: number } {
  let at = offset;
  let index = start;
  for (; index < end; index++) {
    const byte = from[index] as number;
    const special = isSpecial(byte);
    if (at + (special ? 2 : 1) > limit) break;
    if (special) {
      into[at++] = BRACE;
      into[at++] = byte ^ ESCAPE;
    } else into[at++] = byte;
  }
  return { taken: index - start, end: at };
}

/**
 * Takes the escapes out of binary data, in place.
 *
 * @returns the end of the data; -1 where it ends inside of an escape
 */
export function unescapeBinary(data: Uint8Array, start: number, end: number): number {
  const first = data.subarray(start, end).indexOf(BRACE);
  if (first < 0) return end;
  let to = start + first;
  for (let from = to; from < end; from++) {
    let byte = data[from] as number;
    if (byte === BRACE) {
      if (++from === end) return -1;
      byte = (data[from] as number) ^ ESCAPE;
    }
    data[to++] = byte;
  }
  return to;
}

/** What was found in the stream. */
export type Found =
  /** Nothing whole yet. */
  | "nothing"
  /** A packet: {@link PacketReader.data}. */
  | "packet"
  | "notification"
  /** `+`: our packet arrived. */
  | "ack"
  /** `-`: it arrived damaged. */
  | "nak"
  /** A packet whose checksum is wrong, or whose run-length encoding is nonsense. */
  | "damaged"
  /** A packet longer than anybody may send. It is passed over up to its end. */
  | "endless";

/**
 * Takes a stream apart. Packets may come split and joined anywhere; what stands between them is passed
 * over. Holds one packet at most, and never more than the limit.
 */
export class PacketReader {
  /** The data of the packet found last, run lengths decoded, escapes not; valid until the next {@link next}. */
  data = new Uint8Array(512);
  length = 0;
  /** Bytes that belonged to no packet. */
  strayBytes = 0;

  private input: Uint8Array = new Uint8Array(0);
  private position = 0;
  private end = 0;
  private state: "between" | "data" | "run" | "high" | "low" = "between";
  private isNotification = false;
  private sum = 0;
  private given = 0;
  private isDamaged = false;
  private isEndless = false;

  /** @param limit bytes of data of the longest packet that is taken */
  constructor(private readonly limit: number) {}

  /** Is all of the input looked at, and no packet begun? */
  get isBetween(): boolean {
    return this.position === this.end && this.state === "between";
  }

  /** Gives it bytes to look at. They are read in place: the former ones must be used up, {@link next} said "nothing". */
  feed(bytes: Uint8Array, length: number): void {
    this.input = bytes;
    this.position = 0;
    this.end = length;
  }

  /** Forgets a packet that has begun, and what was fed. */
  reset(): void {
    this.position = this.end;
    this.state = "between";
  }

  next(): Found {
    const { input, end } = this;
    while (this.position < end) {
      if (this.state === "data") {
        this.takeData();
        continue;
      }
      const byte = input[this.position++] as number; // below the end
      if (this.state === "between") {
        if (byte === DOLLAR || byte === PERCENT) this.begin(byte === PERCENT);
        else if (byte === PLUS) return "ack";
        else if (byte === MINUS) return "nak";
        else this.strayBytes++;
      } else if (this.state === "run") this.takeRun(byte);
      else if (byte === DOLLAR) this.begin(false);
      else if (this.state === "high") {
        this.given = digitValue(byte);
        this.state = "low";
      } else {
        const found = this.takeEnd(digitValue(byte));
        if (found !== "nothing") return found;
      }
    }
    return "nothing";
  }

  /** Behind the second digit of the checksum. Nobody sends a notification again: a damaged one is none. */
  private takeEnd(low: number): Found {
    this.state = "between";
    const isRight =
      !this.isDamaged && (this.given | low) <= 15 && ((this.given << 4) | low) === (this.sum & 0xff);
    if (this.isNotification) return isRight && !this.isEndless ? "notification" : "nothing";
    if (this.isEndless) return "endless";
    return isRight ? "packet" : "damaged";
  }

  private begin(isNotification: boolean): void {
    this.isNotification = isNotification;
    this.length = 0;
    this.sum = 0;
    this.isDamaged = false;
    this.isEndless = false;
    this.state = "data";
  }

  /** The inner loop: plain bytes. */
  private takeData(): void {
    const { input, end } = this;
    let { position, sum, length } = this;
    this.reserve(Math.min(end - position, this.limit - length));
    const { data } = this;
    const room = Math.min(data.length, this.limit);
    while (position < end) {
      const byte = input[position++] as number; // below the end
      if (byte === HASH) {
        this.state = "high";
        break;
      }
      if (byte === DOLLAR) {
        // No packet holds one: the rest of the last never came.
        sum = 0;
        length = 0;
        this.isNotification = false;
        this.isDamaged = false;
        this.isEndless = false;
        continue;
      }
      sum += byte;
      if (byte === STAR) {
        this.state = "run";
        break;
      }
      if (length === room) {
        this.isEndless = true;
        continue;
      }
      data[length++] = byte;
    }
    this.position = position;
    this.sum = sum;
    this.length = length;
  }

  private takeRun(character: number): void {
    this.sum += character;
    this.state = "data";
    const count = character - RUN_BIAS;
    if (count < SMALLEST_RUN || this.length === 0) {
      this.isDamaged = true;
      return;
    }
    if (this.length + count > this.limit) {
      this.isEndless = true;
      return;
    }
    this.reserve(count);
    this.data.fill(this.data[this.length - 1] as number, this.length, this.length + count);
    this.length += count;
  }

  private reserve(more: number): void {
    const wanted = this.length + more;
    if (wanted <= this.data.length) return;
    const larger = new Uint8Array(Math.min(Math.max(wanted, 2 * this.data.length), this.limit));
    larger.set(this.data.subarray(0, this.length));
    this.data = larger;
  }
}
