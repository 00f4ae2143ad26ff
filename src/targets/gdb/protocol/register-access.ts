import type { RegisterFile } from "../../../arch/x86_64/registers.js";
import type { Exchange } from "./exchange.js";
import { decodeHex } from "./hex.js";
import type { PacketBuilder } from "./packet-builder.js";
import { decodeRegisters, type LaidOutRegister, type RegisterLayout } from "./register-layout.js";

/** Registers changed between stops: more are written all at once. */
const FEW = 4;
/** Of a stub that answers more than its description says. */
const SPARE_BYTES = 4096;

/** Registers of the thread selected for `g`. */
export class RegisterAccess {
  /** The last answer to `g`; what is written is a change of it. */
  private readonly image: Uint8Array;
  private imageLength = 0;
  private readonly single = new Uint8Array(512);
  private readonly changed: LaidOutRegister[] = [];
  private hasP: boolean | undefined;
  private hasSmallP: boolean | undefined;

  constructor(
    private readonly exchange: Exchange,
    private readonly packet: PacketBuilder,
    readonly layout: RegisterLayout,
  ) {
    this.image = new Uint8Array(layout.size + SPARE_BYTES);
  }

  /** The image belongs to another thread or another time. */
  forget(): void {
    this.imageLength = 0;
  }

  read(into: RegisterFile): void {
    this.fetch();
    if (!this.layout.decode(this.image, this.imageLength, into))
      throw this.exchange.nonsense("read the registers");
  }

  write(from: RegisterFile): void {
    if (this.imageLength === 0) this.fetch();
    const { image, changed, exchange, packet } = this;
    this.layout.encode(from, image, this.imageLength, changed);
    if (changed.length === 0) return;
    if (changed.length <= FEW && this.hasP !== false) {
      let all = true;
      for (const register of changed) {
        if (this.put(register, image, register.offset)) continue;
        all = false;
        break;
      }
      if (all) return;
    }
    // What it is written for is to set the thread going: with one way there and back for both.
    exchange.post(packet.start("G").hexBytes(image, 0, this.imageLength), () => {
      exchange.mustBeOk("write the registers");
    });
  }

  /** @returns undefined where the stub does not give this register's value now */
  readOne(register: LaidOutRegister): bigint | undefined {
    const { exchange, packet } = this;
    if (this.hasSmallP !== false) {
      exchange.ask(packet.start("p").hex(register.number));
      this.hasSmallP = exchange.replyLength > 0;
      if (this.hasSmallP) {
        if (exchange.errorCode() !== undefined || exchange.reply[0] === 0x78) return undefined;
        const { replyLength } = exchange;
        if (replyLength !== 2 * register.size) throw exchange.nonsense("read a register");
        if (2 * decodeHex(exchange.reply, 0, replyLength, this.single, 0) !== replyLength)
          throw exchange.nonsense("read a register");
        return littleEndian(this.single, 0, register.size);
      }
    }
    if (this.imageLength === 0) this.fetch();
    if (register.offset + register.size > this.imageLength) return undefined;
    return littleEndian(this.image, register.offset, register.size);
  }

  writeOne(register: LaidOutRegister, value: bigint): void {
    const bytes = new Uint8Array(register.size);
    let rest = BigInt.asUintN(8 * register.size, value);
    for (let index = 0; index < bytes.length; index++) {
      bytes[index] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    if (this.imageLength >= register.offset + register.size) this.image.set(bytes, register.offset);
    if (this.hasP !== false && this.put(register, bytes, 0)) return;
    if (this.imageLength === 0) {
      this.fetch();
      this.image.set(bytes, register.offset);
    }
    this.exchange.ask(this.packet.start("G").hexBytes(this.image, 0, this.imageLength));
    this.exchange.mustBeOk(`write ${register.name}`);
  }

  /** By `P`. @returns false where the stub has no such packet */
  private put(register: LaidOutRegister, bytes: Uint8Array, offset: number): boolean {
    const { exchange, packet } = this;
    packet
      .start("P")
      .hex(register.number)
      .text("=")
      .hexBytes(bytes, offset, offset + register.size);
    exchange.ask(packet);
    if (exchange.replyLength === 0) {
      this.hasP = false;
      return false;
    }
    // Some stubs know the packet and not the register: all of them at once may do.
    if (!exchange.is("OK")) return false;
    this.hasP = true;
    return true;
  }

  private fetch(): void {
    const { exchange } = this;
    exchange.ask(this.packet.start("g"));
    if (exchange.replyLength === 0 || exchange.errorCode() !== undefined)
      throw exchange.unexpected("read the registers");
    const length = decodeRegisters(exchange.reply, exchange.replyLength, this.image);
    if (length < 0) throw exchange.nonsense("read the registers");
    this.imageLength = length;
  }
}

function littleEndian(bytes: Uint8Array, start: number, size: number): bigint {
  let value = 0n;
  for (let index = size - 1; index >= 0; index--)
    value = (value << 8n) | BigInt(bytes[start + index] as number); // the caller's size
  return value;
}
