// The line between a client and a stub, which does to what goes over it whatever a tape says; in a time of its own.
import type { Connection } from "../../../../src/targets/gdb/protocol/connection.js";
import { StubError } from "../../../../src/targets/gdb/protocol/errors.js";
import { frame } from "./model-stub.js";

/** Decisions, one byte each; 0, and what is behind the end: as it should be. */
export class Tape {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  next(): number {
    return this.bytes[this.at++] ?? 0;
  }
}

/** What can happen to a packet on its way to the client. 0 is nothing. */
export const FAULTS = [
  "none",
  "damage",
  "lose-a-byte",
  "truncate",
  "lose",
  "duplicate",
  "garbage-before",
  "garbage-behind",
  "split",
  "late",
  "close-within",
  "close-before",
  "notification-before",
  "error-instead",
  "empty-instead",
  "nonsense-instead",
  "longer",
  "shorter",
  "giant",
  "babble",
  "silence",
  "lose-ack",
  "nak-instead",
  "damage-question",
  "lose-question",
  "joined-ack",
] as const;

export type LineFault = (typeof FAULTS)[number];

/** Makes the decision's byte one of them, mostly none: the first half of all bytes are. */
function faultOf(byte: number): LineFault {
  return byte < 128 ? "none" : (FAULTS[1 + ((byte - 128) % (FAULTS.length - 1))] ?? "none");
}

/** Those that no client can find out where packets are not acknowledged: such a line does not do that. */
const NEEDS_ACKS: ReadonlySet<LineFault> = new Set(["duplicate", "lose-ack", "nak-instead"]);

/** Microseconds in which a byte or packet arrives, as milliseconds. */
const LATENCY = 0.05;

interface Arriving {
  readonly time: number;
  readonly bytes: Buffer;
}

/** How late is late: longer than an acknowledgement, shorter than an answer may take. */
export interface Lateness {
  readonly ms: number;
}

/** Both ends of a line: a client's connection, to which bytes are sent by {@link deliver}. */
export class Line implements Connection {
  readonly received = new Uint8Array(65536);
  readonly used = new Map<LineFault, number>();
  /** An answer was not the stub's own: what it says is no measure of truth. */
  lies = 0;
  time = 0;
  faults = 0;
  isNonStop = false;
  /** Packets and single bytes of the client. */
  writes = 0;
  /** Where bytes from the client go. */
  onWrite: (bytes: Uint8Array) => void = () => undefined;
  /** Are packets acknowledged now? */
  acknowledges: () => boolean = () => true;
  private queue: Arriving[] = [];
  private last = 0;
  private ends: "no" | "after-queue" = "no";
  private isSilent = false;
  private babbles = false;
  private isDisposed = false;

  constructor(
    readonly name: string,
    private readonly tape: Tape,
    private readonly late: Lateness,
  ) {}

  now(): number {
    return this.time;
  }

  write(bytes: Uint8Array, length: number): void {
    if (this.isDisposed) throw new Error("written to after it was closed");
    if (this.ends !== "no" && this.queue.length === 0) throw new StubError("closed", `${this.name}: EPIPE`);
    this.time += LATENCY;
    this.writes++;
    if (this.isSilent) return;
    const copy = Buffer.from(bytes.subarray(0, length));
    if (length > 4) {
      const fault = this.decide();
      if (fault === "lose-question") return;
      if (fault === "damage-question") this.damage(copy, 1, length - 3);
    }
    this.onWrite(copy);
  }

  read(until: number): number {
    if (this.isDisposed) throw new Error("read from after it was closed");
    if (this.babbles) return this.babble();
    const [first] = this.queue;
    if (first === undefined) {
      if (this.ends !== "no")
        throw new StubError("closed", `${this.name}: the stub has closed the connection`);
      if (until === Infinity) throw new Error("waits for ever");
      this.time = Math.max(this.time, until);
      return 0;
    }
    if (first.time > until && first.time > this.time) {
      this.time = Math.max(this.time, until);
      return 0;
    }
    this.time = Math.max(this.time, first.time);
    const size = Math.min(first.bytes.length, this.received.length);
    this.received.set(first.bytes.subarray(0, size));
    if (size === first.bytes.length) this.queue.shift();
    else this.queue[0] = { time: first.time, bytes: first.bytes.subarray(size) };
    return size;
  }

  [Symbol.dispose](): void {
    this.isDisposed = true;
  }

  /** What the stub sends: a packet, or one byte. */
  deliver(bytes: Buffer): void {
    if (this.isSilent || this.babbles || this.ends !== "no") return;
    const fault = this.decide();
    if (bytes.length === 1) {
      if (fault === "lose-ack") return;
      if (fault === "nak-instead") this.lies++;
      this.send(fault === "nak-instead" ? Buffer.from("-") : bytes);
      return;
    }
    this.spoil(bytes, fault);
  }

  private spoil(packet: Buffer, fault: LineFault): void {
    const middle = 1 + (this.tape.next() % Math.max(1, packet.length - 1));
    switch (fault) {
      case "none":
      case "lose-ack":
      case "nak-instead":
      case "damage-question":
      case "lose-question":
        return this.send(packet);
      case "damage": {
        const copy = Buffer.from(packet);
        this.damage(copy, 1, packet.length - 3);
        return this.send(copy);
      }
      case "lose-a-byte": {
        const at = plainByte(packet, middle);
        return this.send(at < 0 ? packet : Buffer.concat([packet.subarray(0, at), packet.subarray(at + 1)]));
      }
      case "truncate":
        return this.send(packet.subarray(0, middle));
      case "lose":
        return;
      case "duplicate":
        this.send(packet);
        return this.send(packet);
      case "garbage-before":
        this.send(this.garbage());
        return this.send(packet);
      case "garbage-behind":
        this.send(packet);
        return this.send(this.garbage());
      case "split":
        for (const byte of packet) this.send(Buffer.of(byte));
        return;
      case "joined-ack":
        // As one read gives it: with an acknowledgement too many before it.
        return this.send(Buffer.concat([Buffer.from("+"), packet]));
      case "late":
        return this.send(packet, this.late.ms);
      case "close-within":
        this.send(packet.subarray(0, middle));
        this.ends = "after-queue";
        return;
      case "close-before":
        this.ends = "after-queue";
        return;
      case "notification-before":
        // In non-stop mode it would be believed.
        if (!this.isNonStop)
          this.send(
            Buffer.concat([Buffer.from("%"), frame(Buffer.from("Stop:T05thread:p1a.1b;")).subarray(1)]),
          );
        this.send(Buffer.from("%Unknown:thing#00"));
        return this.send(packet);
      case "error-instead":
        return this.lie(Buffer.from("E7f"));
      case "empty-instead":
        return this.lie(Buffer.alloc(0));
      case "nonsense-instead":
        return this.lie(
          Buffer.from(["!?", "OKAY", "Q", "T0", "mm", "\u0000\u00ff", "E", "l<"][middle % 8] ?? "", "latin1"),
        );
      case "longer":
        return this.lie(Buffer.concat([packet.subarray(1, -3), Buffer.alloc(9000, "0")]));
      case "shorter":
        // Half of an error code would be a byte.
        return packet[1] === 0x45 ? this.send(packet) : this.lie(packet.subarray(1, 3));
      case "giant":
        this.lies++;
        this.send(Buffer.concat([Buffer.from("$"), Buffer.alloc(3 << 20, "a")]));
        return;
      case "babble":
        this.lies++;
        this.babbles = true;
        return;
      case "silence":
        this.isSilent = true;
        return;
    }
  }

  private decide(): LineFault {
    const fault = faultOf(this.tape.next());
    if (NEEDS_ACKS.has(fault) && !this.acknowledges()) return "none";
    if (fault !== "none") {
      this.faults++;
      this.used.set(fault, (this.used.get(fault) ?? 0) + 1);
    }
    return fault;
  }

  private lie(data: Buffer): void {
    this.lies++;
    this.send(frame(data));
  }

  private send(bytes: Buffer, more = 0): void {
    // Nothing overtakes what was sent before it.
    this.last = Math.max(this.last, this.time + LATENCY + more);
    this.queue.push({ time: this.last, bytes });
  }

  /** One byte for another, so that the sum is another. What gives packets their form stays: it would be another packet. */
  private damage(packet: Buffer, from: number, to: number): void {
    if (to <= from) return;
    const at = plainByte(packet, from + (this.tape.next() % (to - from)));
    if (at < 0) return;
    const before = packet[at] ?? 0;
    const after = before ^ 1;
    packet[at] = isForm(after) ? before ^ 8 : after;
    if (isForm(packet[at] ?? 0)) packet[at] = before ^ 0x40;
  }

  private garbage(): Buffer {
    const length = 1 + (this.tape.next() % 40);
    const bytes = Buffer.alloc(length);
    for (let index = 0; index < length; index++) {
      const byte = this.tape.next() ^ (index * 37);
      // Neither the beginning of a packet nor an acknowledgement: else it is not between packets.
      bytes[index] = [0x24, 0x25, 0x2b, 0x2d].includes(byte & 0xff) ? 0x20 : byte;
    }
    return bytes;
  }

  private babble(): number {
    this.time += 1;
    this.received.fill(0x7a, 0, 1000);
    return 1000;
  }
}

function isForm(byte: number): boolean {
  return byte === 0x23 || byte === 0x24 || byte === 0x25 || byte === 0x2a || byte === 0x7d;
}

/** The next byte that changes the sum where it is missing, and is not of the packet's form. */
function plainByte(packet: Buffer, from: number): number {
  for (let at = from; at < packet.length - 3; at++) {
    const byte = packet[at] ?? 0;
    // Behind a star a count stands.
    if (byte !== 0 && !isForm(byte) && packet[at - 1] !== 0x2a && at > 0) return at;
  }
  return -1;
}
