// A stub that does everything right, for clients to talk to. What goes wrong is the line's business: see line.ts.
import { type Machine, MACHINE_REGISTERS, type MachineThread } from "./machine.js";

/** What this stub can do. */
export interface StubAbilities {
  readonly noAck: boolean;
  readonly vCont: boolean;
  readonly multiprocess: boolean;
  readonly describes: boolean;
  readonly binaryWrites: boolean;
  readonly binaryReads: boolean;
  readonly singleRegisters: boolean;
  readonly nonStop: boolean;
  readonly packetSize: number;
  /** Encodes runs in its answers. */
  readonly runs: boolean;
}

export const ABLE: StubAbilities = {
  noAck: true,
  vCont: true,
  multiprocess: true,
  describes: true,
  binaryWrites: true,
  binaryReads: true,
  singleRegisters: true,
  nonStop: true,
  packetSize: 1024,
  runs: true,
};

/** As small as they come: KGDB. */
export const POOR: StubAbilities = {
  noAck: false,
  vCont: false,
  multiprocess: false,
  describes: false,
  binaryWrites: false,
  binaryReads: false,
  singleRegisters: false,
  nonStop: false,
  packetSize: 400,
  runs: false,
};

const ACK = 0x2b;
const NAK = 0x2d;

/** A well-behaved stub: bytes in, packets out. */
export class ModelStub {
  /** Packets of any length are refused. */
  acknowledges = true;
  private state: "between" | "data" | "high" | "low" = "between";
  private data: number[] = [];
  private sum = "";
  private waitsForAck: Buffer | undefined;
  /** What can be sent only behind an acknowledgement. */
  private pending: Buffer[] = [];
  private general: MachineThread;
  private control: MachineThread;
  private running = false;
  /** Each thread stops by itself; stops are notified, one after the other. */
  private nonStop = false;
  private readonly going = new Set<MachineThread>();
  private untold: string[] = [];

  /**
   * @param send   gets whole packets, or a single `+` or `-`
   * @param onTold a packet was received whole
   */
  constructor(
    private readonly machine: Machine,
    private readonly can: StubAbilities,
    private readonly send: (bytes: Buffer) => void,
    private readonly onTold: (data: string) => void = () => undefined,
  ) {
    const [first] = machine.threads;
    if (first === undefined) throw new Error("a machine has a thread");
    this.general = first;
    this.control = first;
  }

  receive(bytes: Uint8Array): void {
    for (const byte of bytes) this.take(byte);
  }

  /** A stop that nobody asked for in particular: what a continued target does at last. */
  stopNow(signal = 5, more = ""): void {
    if (!this.running) return;
    this.running = false;
    const thread = this.machine.threads[this.machine.stopped] ?? this.general;
    this.general = thread;
    this.reply(`T${signal.toString(16).padStart(2, "0")}${more}thread:${this.idOf(thread)};`);
  }

  get isRunning(): boolean {
    return this.running;
  }

  reply(text: string | Buffer): void {
    const data = typeof text === "string" ? Buffer.from(text, "latin1") : text;
    const packet = frame(this.can.runs && typeof text === "string" ? encodeRuns(data) : data);
    if (this.waitsForAck !== undefined) {
      this.pending.push(packet);
      return;
    }
    if (this.acknowledges) this.waitsForAck = packet;
    this.send(packet);
  }

  private take(byte: number): void {
    if (this.state === "between") {
      if (byte === ACK) {
        this.waitsForAck = this.pending.shift();
        if (this.waitsForAck !== undefined) this.send(this.waitsForAck);
      } else if (byte === NAK) {
        if (this.waitsForAck !== undefined) this.send(this.waitsForAck);
      } else if (byte === 3) {
        this.machine.stopped = 0;
        this.stopNow(2);
      } else if (byte === 0x24) {
        if (this.waitsForAck !== undefined) {
          // Whoever begins anew has not got our answer, and is told that we have not got its question. KGDB does so.
          this.waitsForAck = undefined;
          this.pending = [];
          this.send(Buffer.of(NAK));
          return;
        }
        this.data = [];
        this.state = "data";
      }
    } else if (this.state === "data") {
      if (byte === 0x24) this.data = [];
      else if (byte === 0x23) this.state = "high";
      else this.data.push(byte);
    } else if (this.state === "high") {
      this.sum = String.fromCharCode(byte);
      this.state = "low";
    } else {
      this.state = "between";
      const given = Number.parseInt(this.sum + String.fromCharCode(byte), 16);
      const sum = this.data.reduce((total, each) => total + each, 0) & 0xff;
      if (this.acknowledges) this.send(Buffer.of(given === sum ? ACK : NAK));
      if (given === sum) this.carryOut(Buffer.from(this.data));
    }
  }

  private carryOut(data: Buffer): void {
    const text = data.toString("latin1");
    this.onTold(text);
    // A running stub hears nothing but an interrupt.
    if (this.running) return;
    const answer = this.answer(text, data);
    if (answer !== "later") this.reply(answer);
    if (text === "QStartNoAckMode" && this.can.noAck) this.acknowledges = false;
  }

  private answer(text: string, data: Buffer): string | Buffer {
    const { can, machine } = this;
    if (text.startsWith("qSupported")) {
      const features = [`PacketSize=${can.packetSize.toString(16)}`];
      if (can.nonStop) features.push("QNonStop+");
      if (can.noAck) features.push("QStartNoAckMode+");
      if (can.describes) features.push("qXfer:features:read+");
      if (can.multiprocess) features.push("multiprocess+");
      if (can.vCont) features.push("vContSupported+");
      if (can.binaryReads) features.push("binary-upload+");
      return features.join(";");
    }
    if (text === "QStartNoAckMode") return can.noAck ? "OK" : "";
    if (text === "QNonStop:1") {
      if (!can.nonStop) return "";
      this.nonStop = true;
      return "OK";
    }
    if (text === "?" && this.nonStop) {
      this.untold = machine.threads.map((each) => `T05thread:${this.idOf(each)};`);
      return this.untold[0] ?? "OK";
    }
    if (text === "vStopped") {
      this.untold.shift();
      return this.untold[0] ?? "OK";
    }
    if (text === "?") {
      this.running = true;
      this.stopNow();
      return "later";
    }
    if (text.startsWith("qXfer:features:read:")) return can.describes ? this.feature(text) : "";
    if (text === "qfThreadInfo") return `m${machine.threads.map((each) => this.idOf(each)).join(",")}`;
    if (text === "qsThreadInfo") return "l";
    if (text === "vCont?") return can.vCont ? "vCont;c;C;s;S;t" : "";
    if (text.startsWith("qRcmd,")) {
      this.reply(`O${Buffer.from("said: ").toString("hex")}`);
      this.reply(`O${text.slice("qRcmd,".length)}`);
      return "OK";
    }
    if (text.startsWith("T")) return this.threadOf(text.slice(1)) === undefined ? "E01" : "OK";
    switch (text.charAt(0)) {
      case "H":
        return this.choose(text);
      case "g":
        return this.allRegisters();
      case "G":
        return this.setAllRegisters(text.slice(1));
      case "p":
        return can.singleRegisters ? this.register(Number.parseInt(text.slice(1), 16)) : "";
      case "P":
        return can.singleRegisters ? this.setRegister(text.slice(1)) : "";
      case "m":
        return this.read(text, false);
      case "x":
        return can.binaryReads ? this.read(text, true) : "";
      case "M":
        return this.write(text, Buffer.from(text.slice(text.indexOf(":") + 1), "hex"));
      case "X":
        return can.binaryWrites ? this.write(text, unescape(data.subarray(text.indexOf(":") + 1))) : "";
      case "Z":
        machine.breakpoints.add(text.slice(1));
        return "OK";
      case "z":
        return machine.breakpoints.delete(text.slice(1)) ? "OK" : "E01";
      case "v":
        if (!can.vCont || !text.startsWith("vCont;")) return "";
        return this.nonStop ? this.oneByOne(text) : this.vCont(text);
      case "s":
        machine.step(this.control);
        return this.goOn(this.control);
      case "c":
      case "C":
        return this.goOn(this.control, false);
      case "D":
        return "OK";
      default:
        return "";
    }
  }

  /** Non-stop: each action is of one thread, or of all. What comes of it is notified behind the answer. */
  private oneByOne(text: string): string {
    const stops: string[] = [];
    for (const action of text.split(";").slice(1)) {
      const [what = "", id] = action.split(":");
      const named = id === undefined ? undefined : this.threadOf(id);
      for (const thread of named === undefined ? this.machine.threads : [named]) {
        // Whose stop is not yet acknowledged stays where it is: so gdbserver does.
        if (this.untold.some((stop) => stop.includes(`thread:${this.idOf(thread)};`))) continue;
        if (what === "t") {
          if (this.going.delete(thread)) stops.push(`T00thread:${this.idOf(thread)};`);
        } else if (what.toLowerCase().startsWith("s")) {
          this.machine.step(thread);
          stops.push(`T05thread:${this.idOf(thread)};`);
        } else this.going.add(thread);
      }
    }
    this.reply("OK");
    for (const stop of stops) this.notify(stop);
    return "later";
  }

  private notify(stop: string): void {
    this.untold.push(stop);
    if (this.untold.length > 1) return;
    this.send(Buffer.concat([Buffer.from("%"), frame(Buffer.from(`Stop:${stop}`)).subarray(1)]));
  }

  private vCont(text: string): "later" {
    for (const action of text.split(";").slice(1)) {
      const [what = "", id] = action.split(":");
      const thread = id === undefined ? undefined : this.threadOf(id);
      if (what.startsWith("s") && thread !== undefined) {
        this.machine.step(thread);
        return this.goOn(thread);
      }
    }
    return this.goOn(this.general, false);
  }

  /** A step is over at once, a continued target goes on until it is made to stop. */
  private goOn(thread: MachineThread, stops = true): "later" {
    this.machine.stopped = this.machine.threads.indexOf(thread);
    this.running = true;
    if (stops) this.stopNow();
    return "later";
  }

  private choose(text: string): string {
    const id = text.slice(2);
    const thread = id === "0" || id === "-1" ? this.general : this.threadOf(id);
    if (thread === undefined) return "E01";
    if (text[1] === "g") this.general = thread;
    else this.control = thread;
    return "OK";
  }

  private idOf({ process, thread }: MachineThread): string {
    return this.can.multiprocess ? `p${process.toString(16)}.${thread.toString(16)}` : thread.toString(16);
  }

  private threadOf(id: string): MachineThread | undefined {
    return this.machine.threads.find((each) => this.idOf(each) === id);
  }

  private feature(text: string): Buffer {
    const [, , , document = "", range = ""] = text.split(":");
    const [offset = 0, length = 0] = range.split(",").map((each) => Number.parseInt(each, 16));
    const content = Buffer.from(document === "target.xml" ? DESCRIPTION : REGISTERS_XML);
    const part = content.subarray(offset, offset + Math.min(length, (this.can.packetSize >> 1) - 8));
    return Buffer.concat([Buffer.from(offset + part.length < content.length ? "m" : "l"), escape(part)]);
  }

  private register(number: number): string {
    const register = MACHINE_REGISTERS[number];
    if (register === undefined) return "E00";
    const value = this.general.registers.get(register.name) ?? 0n;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    return bytes.subarray(0, register.bits / 8).toString("hex");
  }

  private allRegisters(): string {
    return MACHINE_REGISTERS.map((_, number) => this.register(number)).join("");
  }

  private setRegister(text: string): string {
    const [number = "", hex = ""] = text.split("=");
    const register = MACHINE_REGISTERS[Number.parseInt(number, 16)];
    if (register === undefined || hex.length !== register.bits / 4) return "E00";
    this.general.registers.set(register.name, valueOf(hex));
    return "OK";
  }

  private setAllRegisters(hex: string): string {
    let at = 0;
    for (const { name, bits } of MACHINE_REGISTERS) {
      const digits = hex.slice(at, at + bits / 4);
      if (digits.length < bits / 4) return "E00";
      this.general.registers.set(name, valueOf(digits));
      at += bits / 4;
    }
    return "OK";
  }

  private read(text: string, binary: boolean): string | Buffer {
    const [at, length] = rangeOf(text);
    const wanted = Math.min(length, binary ? length : this.can.packetSize >> 1);
    const bytes = this.machine.read(at, wanted);
    // As gdbserver and QEMU do: a range of which a part is missing is refused.
    if (bytes.length < wanted) return "E01";
    if (!binary) return Buffer.from(bytes).toString("hex");
    return Buffer.concat([Buffer.from("b"), escape(Buffer.from(bytes))]);
  }

  private write(text: string, bytes: Uint8Array): string {
    const [at, length] = rangeOf(text);
    if (length !== bytes.length) return "E02";
    return length === 0 || this.machine.write(at, bytes) ? "OK" : "E01";
  }
}

function rangeOf(text: string): [number, number] {
  const [at = "", length = ""] = (text.slice(1).split(":")[0] ?? "").split(",");
  return [Number(BigInt.asIntN(64, BigInt(`0x${at}`))), Number.parseInt(length, 16)];
}

function valueOf(hex: string): bigint {
  const bytes = Buffer.alloc(8);
  bytes.write(hex, "hex");
  return bytes.readBigUInt64LE();
}

export function frame(data: Buffer): Buffer {
  const sum = data.reduce((total, each) => total + each, 0) & 0xff;
  return Buffer.concat([Buffer.from("$"), data, Buffer.from(`#${sum.toString(16).padStart(2, "0")}`)]);
}

export function escape(data: Buffer): Buffer {
  const bytes: number[] = [];
  for (const byte of data) {
    if ([0x23, 0x24, 0x2a, 0x7d].includes(byte)) bytes.push(0x7d, byte ^ 0x20);
    else bytes.push(byte);
  }
  return Buffer.from(bytes);
}

function unescape(data: Buffer): Buffer {
  const bytes: number[] = [];
  for (let index = 0; index < data.length; index++) {
    const byte = data[index] ?? 0;
    bytes.push(byte === 0x7d ? (data[++index] ?? 0) ^ 0x20 : byte);
  }
  return Buffer.from(bytes);
}

/** Runs of four and more; a count must be no `$` and no `#`. */
export function encodeRuns(data: Buffer): Buffer {
  const bytes: number[] = [];
  for (let at = 0; at < data.length;) {
    const byte = data[at] ?? 0;
    let end = at + 1;
    while (end < data.length && data[end] === byte && end - at < 97) end++;
    let more = end - at - 1;
    if (more === 6 || more === 7) more = 5;
    bytes.push(byte);
    if (more >= 3) bytes.push(0x2a, more + 29);
    else more = 0;
    at += 1 + more;
  }
  return Buffer.from(bytes);
}

const DESCRIPTION = `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">
<target><architecture>i386:x86-64</architecture><xi:include href="core.xml"/></target>`;

const REGISTERS_XML = `<?xml version="1.0"?>
<!-- $ # } * -->
<!DOCTYPE feature SYSTEM "gdb-target.dtd">
<feature name="org.gnu.gdb.i386.core">
${MACHINE_REGISTERS.map(({ name, bits }) => `  <reg name="${name}" bitsize="${bits}" type="int"/>`).join("\n")}
</feature>`;
