import type { RegisterFile } from "../../../arch/x86_64/registers.js";
import type { Address } from "../../../base/address.js";
import type { Exchange } from "./exchange.js";
import { decodeHex } from "./hex.js";
import { PacketBuilder } from "./packet-builder.js";
import { FRAME_BYTES, framePacket } from "./packets.js";
import { decodeRegisters, type LaidOutRegister, type RegisterLayout } from "./register-layout.js";
import type { StubThread } from "./thread-ids.js";

/**
 * Questions that are sent together and answered one after the other: a way to the stub and back for all of
 * them. Where packets are acknowledged each goes by itself. What a question brings is there after
 * {@link flush}, in the place that was given with it.
 */
export class Pipeline {
  private readonly packet = new PacketBuilder();
  private frames = new Uint8Array(8192);
  private length = 0;
  private readonly answered: (() => void)[] = [];
  private readonly image: Uint8Array;

  constructor(
    private readonly exchange: Exchange,
    private readonly layout: RegisterLayout,
    private readonly onSelect: (thread: StubThread) => void,
  ) {
    this.image = new Uint8Array(layout.size + 4096);
  }

  /** What follows is about this thread, and what is asked otherwise afterwards, too. */
  select(thread: StubThread): void {
    this.ask(this.packet.start("Hg").text(thread.text), () => {
      this.exchange.mustBeOk(`select thread ${thread.text}`);
      this.onSelect(thread);
    });
  }

  /** All registers of the selected thread. */
  registers(into: RegisterFile): void {
    this.ask(this.packet.start("g"), () => {
      const { exchange, image, layout } = this;
      if (exchange.replyLength === 0 || exchange.errorCode() !== undefined)
        throw exchange.unexpected("read the registers");
      const length = decodeRegisters(exchange.reply, exchange.replyLength, image);
      if (length < 0 || !layout.decode(image, length, into)) throw exchange.nonsense("read the registers");
    });
  }

  /** @param told with the register's bytes; undefined where the stub gives no value */
  register(register: LaidOutRegister, told: (bytes: Uint8Array | undefined) => void): void {
    this.ask(this.packet.start("p").hex(register.number), () => {
      const bytes = new Uint8Array(register.size);
      const got = decodeHex(this.exchange.reply, 0, this.exchange.replyLength, bytes, 0);
      told(got === register.size ? bytes : undefined);
    });
  }

  /** @param bytes of the register */
  writeRegister(register: LaidOutRegister, bytes: Uint8Array): void {
    const { packet } = this;
    packet.start("P").hex(register.number).text("=").hexBytes(bytes, 0, register.size);
    this.ask(packet, () => {
      this.exchange.mustBeOk(`write ${register.name}`);
    });
  }

  /** @param told with the bytes read, which are all or none */
  read(at: Address, into: Uint8Array, told: (whole: boolean) => void): void {
    this.ask(this.packet.start("m").hex(at).text(",").hex(into.length), () => {
      const { exchange } = this;
      const isWhole = exchange.replyLength === 2 * into.length;
      told(isWhole && decodeHex(exchange.reply, 0, exchange.replyLength, into, 0) === into.length);
    });
  }

  /** @param told whether it was written */
  write(at: Address, bytes: Uint8Array, told: (done: boolean) => void): void {
    const { packet } = this;
    packet.start("M").hex(at).text(",").hex(bytes.length).text(":").hexBytes(bytes);
    this.ask(packet, () => {
      told(this.exchange.is("OK"));
    });
  }

  /** Breakpoints and watchpoints, see GdbClient.insert and remove. */
  breakpoint(letter: "Z" | "z", kind: number, at: Address, size: number): void {
    this.ask(
      this.packet
        .start(`${letter}${String(kind)},`)
        .hex(at)
        .text(",")
        .hex(size),
      () => {
        this.exchange.mustBeOk(letter === "Z" ? "watch memory" : "watch memory no longer");
      },
    );
  }

  /** As GdbClient.set. */
  set(text: string, told: (done: boolean) => void): void {
    this.ask(this.packet.start(text), () => {
      told(this.exchange.is("OK"));
    });
  }

  /** As GdbClient.remove, of one that may not be there. */
  removeIfThere(kind: number, at: Address, size: number): void {
    this.ask(
      this.packet
        .start(`z${String(kind)},`)
        .hex(at)
        .text(",")
        .hex(size),
      () => undefined,
    );
  }

  /** Sends what is not sent yet, and waits for all answers. */
  flush(): void {
    if (this.answered.length > 0) this.send();
  }

  /** As {@link flush}, with a packet behind it all whose answer comes when something happens. */
  flushAndTell(text: string): void {
    this.append(this.packet.start(text));
    this.send();
  }

  private ask(packet: PacketBuilder, answered: () => void): void {
    if (this.exchange.acknowledges) {
      this.exchange.ask(packet);
      answered();
      return;
    }
    this.append(packet);
    this.answered.push(answered);
  }

  private append(packet: PacketBuilder): void {
    const wanted = this.length + packet.length + FRAME_BYTES;
    if (wanted > this.frames.length) {
      const larger = new Uint8Array(2 * wanted);
      larger.set(this.frames.subarray(0, this.length));
      this.frames = larger;
    }
    this.length += framePacket(packet.bytes, packet.length, this.frames.subarray(this.length));
  }

  private send(): void {
    const { exchange } = this;
    exchange.send(this.frames, this.length);
    this.length = 0;
    for (const answered of this.answered.splice(0)) {
      exchange.receive();
      answered();
    }
  }
}
