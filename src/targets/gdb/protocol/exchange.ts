import type { Connection } from "./connection.js";
import { StubError, type StubErrorKind, StubRefusal } from "./errors.js";
import { type PacketBuilder } from "./packet-builder.js";
import { FRAME_BYTES, framePacket, PacketReader } from "./packets.js";

/** The longest packet that is taken from a stub, bytes. */
const LONGEST_PACKET = 2 ** 20;

export interface ExchangeTimes {
  /** An answer takes no longer; milliseconds. */
  readonly answerWithin: number;
  /** As long as packets are acknowledged: an acknowledgement takes no longer, else the packet is sent again. */
  readonly ackWithin: number;
  /** After something was sent again: nothing more comes when nothing has come for so long. */
  readonly quietFor: number;
  /** A command of the stub's own takes no longer. */
  readonly commandWithin: number;
}

const TIMES: ExchangeTimes = { answerWithin: 10_000, ackWithin: 1000, quietFor: 200, commandWithin: 60_000 };

/** How often one packet is sent, or asked for, before we give up. */
const ATTEMPTS = 4;

const PLUS = 0x2b;
const ACK = Uint8Array.of(PLUS);
const NAK = Uint8Array.of(0x2d);
const INTERRUPT = Uint8Array.of(0x03);
const CAPITAL_E = 0x45;

/** May a packet be carried out twice without harm? */
type Repeat = "harmless" | "harmful";

/**
 * Questions and answers with a stub: framing, acknowledgements, sending again, time-outs. Whatever comes is
 * an answer to the question asked or ends in a {@link StubError}; after one that {@link StubError.isFinal}
 * the same error is thrown at every further use, since nobody knows what a late answer would belong to.
 */
export class Exchange {
  /** Packets are acknowledged until both sides have agreed not to. */
  acknowledges = true;
  /** The target runs, all-stop: the stub hears nothing but an interrupt. */
  isRunning = false;
  /** The answer's data, valid until the next call; runs are decoded, escapes are not. */
  reply: Uint8Array = new Uint8Array(0);
  replyLength = 0;
  /** Told of each notification; valid during the call. */
  onNotification: (text: string) => void = () => undefined;
  readonly times: ExchangeTimes;

  private readonly reader = new PacketReader(LONGEST_PACKET);
  /** What waits to be sent, and behind that what was sent last. */
  private out = new Uint8Array(4096);
  private outLength = 0;
  private frameStart = 0;
  private frameEnd = 0;
  private isAckDue = false;
  /** Who gets the answers to packets that were sent before. */
  private readonly posted: (() => void)[] = [];
  private failure: StubError | undefined;
  private last: Uint8Array = new Uint8Array(0);
  private lastLength = -1;
  /** Reads behind the deadline of what is being done. */
  private lateReads = 0;

  constructor(
    readonly connection: Connection,
    times: Partial<ExchangeTimes> = {},
  ) {
    this.times = { ...TIMES, ...times };
  }

  /** As sentences name the stub. */
  get name(): string {
    return this.connection.name;
  }

  /** The clock of all deadlines. */
  now(): number {
    return this.connection.now();
  }

  /** Why the connection is of no use any more. */
  get isBroken(): StubError | undefined {
    return this.failure;
  }

  /**
   * Asks, and waits for the answer: {@link reply}.
   *
   * @param within milliseconds; default: see {@link ExchangeTimes.answerWithin}
   * @throws StubError no answer, or no packet
   */
  ask(packet: PacketBuilder, repeat: Repeat = "harmless", within: number = this.times.answerWithin): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.isRunning) throw new Error(`the target is running: ${quote(packet)} cannot be asked`);
    this.dropStale();
    const until = this.connection.now() + within;
    this.put(packet);
    let acked = !this.acknowledges;
    let [sent, damaged, asked] = [1, 0, 0];
    for (;;) {
      const now = this.connection.now();
      const wait = acked
        ? this.acknowledges && asked < ATTEMPTS - 1
          ? Math.min(until, now + 2 * this.times.ackWithin)
          : until
        : Math.min(until, now + this.times.ackWithin);
      switch (this.next(wait)) {
        case "nothing":
          if (this.connection.now() >= until) throw this.silence(packet);
          if (!acked) {
            if (repeat === "harmful" || sent === ATTEMPTS) throw this.silence(packet);
            sent++;
            this.resend();
          } else {
            // The answer may have been lost on the way.
            asked++;
            this.write(NAK);
          }
          break;
        case "ack":
          acked = true;
          break;
        case "nak":
          if (!this.acknowledges) break;
          if (sent++ === ATTEMPTS) throw this.fail("nonsense", `does not take our packet ${quote(packet)}`);
          this.resend();
          break;
        case "damaged":
          if (!this.acknowledges) throw this.fail("nonsense", "sent a damaged packet");
          if (++damaged > ATTEMPTS) throw this.fail("nonsense", "sends nothing but damaged packets");
          this.write(NAK);
          break;
        case "packet":
          // Before it has acknowledged our packet: what it said last, whose acknowledgement was lost.
          if (this.acknowledges && !acked && this.isLast()) {
            this.write(ACK);
            break;
          }
          this.keep();
          if (this.takePosted()) break;
          if (sent > 1) this.settle(repeat);
          return;
      }
    }
  }

  /** Sends whole frames, which are answered one by one: see {@link receive}. Only where packets are not acknowledged. */
  send(frames: Uint8Array, length: number): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.isRunning) throw new Error("the target is running: nothing can be asked");
    this.dropStale();
    this.write(frames, length);
  }

  /** Waits for the answer to the next of the frames sent, or for another answer: {@link reply}. @throws StubError no answer, or no packet */
  receive(): void {
    const until = this.connection.now() + this.times.answerWithin;
    for (;;) {
      switch (this.next(until)) {
        case "nothing":
          throw this.fail("silent", "does not answer");
        case "damaged":
          throw this.fail("nonsense", "sent a damaged packet");
        case "packet":
          if (this.acknowledges) this.write(ACK);
          this.keep();
          return;
        case "ack":
        case "nak":
          break;
      }
    }
  }

  /**
   * Sends a packet with the next one that is sent, and takes its answer when it comes: two questions, one
   * way there and back. Where packets are acknowledged it is asked at once.
   *
   * @param answered looks at {@link reply}; may throw
   */
  post(packet: PacketBuilder, answered: () => void): void {
    if (this.acknowledges) {
      this.ask(packet);
      answered();
      return;
    }
    if (this.failure !== undefined) throw this.failure;
    this.append(packet);
    this.posted.push(answered);
  }

  /** The answer just found may be that to a packet that was posted. @returns whether it was */
  private takePosted(): boolean {
    const answered = this.posted.shift();
    answered?.();
    return answered !== undefined;
  }

  /**
   * Sends a packet whose answer comes when something happens. Where packets are acknowledged it waits for
   * that: the answer may come before it, then true is returned and it is in {@link reply}.
   */
  tell(packet: PacketBuilder): boolean {
    this.dropStale();
    this.put(packet);
    if (!this.acknowledges) return false;
    const until = this.connection.now() + this.times.ackWithin * ATTEMPTS;
    let [sent, damaged] = [1, 0];
    for (;;) {
      switch (this.next(until)) {
        case "nothing":
          // It may have been carried out: to send it again could carry it out twice.
          throw this.silence(packet);
        case "ack":
          return false;
        case "nak":
          if (sent++ === ATTEMPTS) throw this.fail("nonsense", `does not take our packet ${quote(packet)}`);
          this.resend();
          break;
        case "damaged":
          if (++damaged > ATTEMPTS) throw this.fail("nonsense", "sends nothing but damaged packets");
          this.write(NAK);
          break;
        case "packet":
          if (this.isLast()) {
            this.write(ACK);
            break;
          }
          this.keep();
          return true;
      }
    }
  }

  /**
   * Waits for a packet that comes by itself, a notification, or the answer to what was posted.
   *
   * @param until as performance.now() counts
   * @returns whether a packet came: {@link reply}
   */
  listen(until: number): boolean {
    if (this.failure !== undefined) throw this.failure;
    this.lateReads = 0;
    this.flush();
    let damaged = 0;
    for (;;) {
      switch (this.next(until, true)) {
        case "nothing":
          return false;
        case "packet":
          this.keep();
          // Whoever waits looks again at what it waits for: the answer may have told it.
          return !this.takePosted();
        case "damaged":
          if (!this.acknowledges) throw this.fail("nonsense", "sent a damaged packet");
          if (++damaged > ATTEMPTS) throw this.fail("nonsense", "sends nothing but damaged packets");
          this.write(NAK);
          break;
        case "ack":
        case "nak":
          break;
      }
    }
  }

  sendAck(): void {
    this.write(ACK);
  }

  /** The byte that makes a running target stop. */
  sendInterrupt(): void {
    this.write(INTERRUPT);
  }

  /** The answer as text. */
  text(): string {
    return Buffer.from(this.reply.buffer, this.reply.byteOffset, this.replyLength).toString("latin1");
  }

  /** Is the answer this? */
  is(text: string): boolean {
    if (this.replyLength !== text.length) return false;
    for (let index = 0; index < text.length; index++)
      if (this.reply[index] !== text.charCodeAt(index)) return false;
    return true;
  }

  /** The answer's error code; undefined where it is no error. A reply of the form `E.text` has the code 0. */
  errorCode(): number | undefined {
    if (this.replyLength < 2 || this.reply[0] !== CAPITAL_E) return undefined;
    const match = /^E(?:([0-9a-f]{2})|\..*|\.errtype.*)$/i.exec(this.replyLength > 200 ? "" : this.text());
    if (match === null) return undefined;
    return match[1] === undefined ? 0 : Number.parseInt(match[1], 16);
  }

  /** @throws StubError unless the answer is OK */
  mustBeOk(what: string): void {
    if (!this.is("OK")) throw this.unexpected(what);
  }

  /**
   * What to throw for an answer that is not what was asked for: a refusal, an unknown packet, nonsense.
   *
   * @param what of us the stub did not do: "read the registers"
   */
  unexpected(what: string): StubError {
    if (this.replyLength === 0)
      return new StubError(
        "unsupported",
        `${this.name}: the stub cannot ${what}: it does not know that packet`,
      );
    const code = this.errorCode();
    if (code !== undefined)
      return new StubRefusal(`${this.name}: the stub did not ${what}: it says ${this.text()}`, code);
    return this.nonsense(what);
  }

  nonsense(what: string): StubError {
    return this.fail("nonsense", `answered ${quoteText(this.text())} when it was asked to ${what}`);
  }

  /** Makes the connection be of no use. @returns what to throw */
  fail(kind: StubErrorKind, what: string): StubError {
    return this.broken(
      new StubError(kind, `${this.name}: the stub ${what}`, {
        remedy: "Nothing can be asked of it any more; connect again.",
      }),
    );
  }

  private broken(error: StubError): StubError {
    this.failure ??= error;
    return error;
  }

  private silence(packet: PacketBuilder): StubError {
    return this.fail("silent", `does not answer (${quote(packet)})`);
  }

  /** The next thing of interest; what is read stays read. Returns after a notification, where that is asked. */
  private next(until: number, untilNotified = false): "nothing" | "packet" | "ack" | "nak" | "damaged" {
    for (;;) {
      const found = this.reader.next();
      switch (found) {
        case "packet":
        case "ack":
        case "nak":
        case "damaged":
          return found;
        case "notification":
          this.onNotification(textOf(this.reader.data, this.reader.length));
          if (untilNotified) return "nothing";
          break;
        case "endless":
          throw this.fail("nonsense", `sent a packet of more than ${LONGEST_PACKET} bytes`);
        case "nothing": {
          // Somebody who talks without end must not keep us here.
          if (this.connection.now() >= until && this.lateReads++ > 0) return "nothing";
          const length = this.guarded(() => this.connection.read(until));
          if (length === 0) return "nothing";
          this.reader.feed(this.connection.received, length);
        }
      }
    }
  }

  /** What has come unasked. Where packets are acknowledged it is what was sent twice; else only a stop may come so. */
  private dropStale(): void {
    if (this.failure !== undefined) throw this.failure;
    this.lateReads = 0;
    // Then it is an answer.
    if (this.posted.length > 0) return;
    while (!this.reader.isBetween) {
      switch (this.reader.next()) {
        case "packet":
          if (this.acknowledges) this.write(ACK);
          else if (!MAY_COME_UNASKED.includes(this.reader.data[0] ?? 0))
            throw this.fail(
              "nonsense",
              `says what nobody asked: ${quoteText(textOf(this.reader.data, this.reader.length))}`,
            );
          break;
        case "notification":
          this.onNotification(textOf(this.reader.data, this.reader.length));
          break;
        case "endless":
          throw this.fail("nonsense", `sent a packet of more than ${LONGEST_PACKET} bytes`);
        case "nothing":
          return;
        case "ack":
        case "nak":
        case "damaged":
          break;
      }
    }
  }

  /** A packet was sent more than once, and so may the answer be: lets it all come. */
  private settle(repeat: Repeat): void {
    this.reply = this.reply.slice(0, this.replyLength);
    this.flush();
    const end = this.connection.now() + this.times.answerWithin;
    for (;;) {
      switch (this.next(Math.min(end, this.connection.now() + this.times.quietFor))) {
        case "nothing":
          return;
        case "packet":
          this.write(ACK);
          if (repeat === "harmful") throw this.fail("nonsense", "carried out one packet twice");
          break;
        case "ack":
        case "nak":
        case "damaged":
          break;
      }
      if (this.connection.now() >= end) throw this.fail("nonsense", "goes on talking when nothing is asked");
    }
  }

  /** Sends a packet, together with what waits to be sent before it. */
  private put(packet: PacketBuilder): void {
    this.append(packet);
    this.flush();
  }

  /** Puts a packet behind what waits to be sent. */
  private append(packet: PacketBuilder): void {
    if (this.isAckDue) {
      this.isAckDue = false;
      this.reserve(1);
      this.out[this.outLength++] = PLUS;
    }
    this.frameStart = this.outLength;
    this.reserve(packet.length + FRAME_BYTES);
    this.outLength += framePacket(packet.bytes, packet.length, this.out, this.outLength);
    this.frameEnd = this.outLength;
  }

  private reserve(more: number): void {
    const wanted = this.outLength + more;
    if (wanted <= this.out.length) return;
    const larger = new Uint8Array(2 * wanted);
    larger.set(this.out.subarray(0, this.outLength));
    this.out = larger;
  }

  /**
   * Before the connection is closed: acknowledges the last packet. KGDB, for one, lets its kernel run only
   * then, also behind its answer to `D`.
   */
  finish(): void {
    if (this.failure !== undefined || !this.isAckDue) return;
    try {
      this.flush();
    } catch (error) {
      // Gone already, as who was told to let go may be: nobody waits for it.
      if (!(error instanceof StubError)) throw error;
    }
  }

  private flush(): void {
    if (this.isAckDue) {
      this.isAckDue = false;
      this.reserve(1);
      this.out[this.outLength++] = PLUS;
    }
    if (this.outLength === 0) return;
    const length = this.outLength;
    this.outLength = 0;
    this.write(this.out, length);
  }

  /** The last packet once more: it stays where it was sent from. */
  private resend(): void {
    this.write(this.out.subarray(this.frameStart, this.frameEnd));
  }

  private write(bytes: Uint8Array, length = bytes.length): void {
    if (this.failure !== undefined) throw this.failure;
    this.guarded(() => {
      this.connection.write(bytes, length, this.connection.now() + this.times.answerWithin);
    });
  }

  private guarded<Result>(body: () => Result): Result {
    try {
      return body();
    } catch (error) {
      throw error instanceof StubError ? this.broken(error) : error;
    }
  }

  /** Makes the packet just found the answer. It is acknowledged with what is sent next. */
  private keep(): void {
    this.reply = this.reader.data;
    this.replyLength = this.reader.length;
    if (!this.acknowledges) return;
    this.isAckDue = true;
    if (this.last.length < this.replyLength) this.last = new Uint8Array(2 * this.replyLength);
    this.last.set(this.reply.subarray(0, this.replyLength));
    this.lastLength = this.replyLength;
  }

  private isLast(): boolean {
    const { data, length } = this.reader;
    if (length !== this.lastLength) return false;
    for (let index = 0; index < length; index++) if (data[index] !== this.last[index]) return false;
    return true;
  }
}

/** Stops (after an interrupt that came too late), console output. */
const MAY_COME_UNASKED = ["T", "S", "O"].map((letter) => letter.charCodeAt(0));

function textOf(bytes: Uint8Array, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1");
}

function quote(packet: PacketBuilder): string {
  return quoteText(packet.toString());
}

/** For a sentence: printable, and not too long. */
function quoteText(text: string): string {
  const printable = text.replaceAll(/[^ -~]/g, ".");
  return JSON.stringify(printable.length > 60 ? `${printable.slice(0, 60)}…` : printable);
}
