// A model of KGDB, as its answers were seen on the wire: one line, one processor's stop at a time.
import type { Connection } from "../../../../src/targets/gdb/protocol/connection.js";
import { frame } from "../protocol/model-stub.js";

const ACK = 0x2b;
const RIP = 16;
const FLAGS = 17;
const TRAP = 0x100n;

/** What happens next when the kernel goes on. */
export interface Happening {
  readonly stop: string;
  readonly rip?: bigint;
  readonly flags?: bigint;
  /** `kgdb_active`: the processor that it happens on. */
  readonly processor?: number;
}

/** The stub's side of a line. */
export class ModelKgdb implements Connection {
  readonly name = "a kernel with KGDB";
  readonly received = new Uint8Array(65_536);
  /** Packets that it was sent, the first questions left out. */
  readonly told: string[] = [];
  readonly memory = new Map<bigint, number>();
  readonly registers: bigint[] = Array.from({ length: 24 }, () => 0n);
  readonly breakpoints = new Set<string>();
  /** Each `c` takes one; behind the last the kernel runs on. */
  readonly happenings: Happening[] = [];
  /** Where a step of the instruction at an address leads. */
  readonly steps = new Map<bigint, bigint>();
  private readonly remembered = new Set<string>();
  private output: number[] = [];
  private input = "";
  private time = 0;

  constructor(
    private readonly activeAt: bigint,
    private readonly threads = "fffffffe",
  ) {}

  now(): number {
    return this.time;
  }

  write(bytes: Uint8Array, length: number): void {
    this.input += Buffer.from(bytes.subarray(0, length)).toString("latin1");
    for (;;) {
      const match = /^[+-]*\$([^#]*)#..|^[+-]+$/s.exec(this.input);
      if (match === null) return;
      this.input = this.input.slice(match[0].length);
      if (match[1] === undefined) return;
      this.output.push(ACK);
      this.told.push(match[1]);
      const answer = this.answer(match[1]);
      if (answer !== undefined) this.output.push(...frame(Buffer.from(answer)));
    }
  }

  read(until: number): number {
    const bytes = this.output.splice(0, this.received.length);
    if (bytes.length === 0) this.time = Math.max(this.time, Math.min(until, this.time + 1e6));
    this.received.set(bytes);
    return bytes.length;
  }

  [Symbol.dispose](): void {
    this.output = [];
  }

  /** Puts bytes into the kernel's memory. */
  put(at: bigint, ...bytes: number[]): void {
    bytes.forEach((byte, index) => this.memory.set(BigInt.asUintN(64, at + BigInt(index)), byte));
  }

  private answer(text: string): string | undefined {
    if (text === "?") {
      this.breakpoints.clear();
      this.remembered.clear();
      return "S05";
    }
    if (text === "qfThreadInfo") return `m${this.threads},01,02`;
    switch (text.charAt(0)) {
      case "H":
        return "OK";
      case "g":
        return this.registers.map((value, number) => hex(value, number < FLAGS ? 8 : 4)).join("");
      case "p":
        return hex(this.registers[Number.parseInt(text.slice(1), 16)] ?? 0n, 8);
      case "P":
        return this.set(text.slice(1));
      case "m":
        return this.readMemory(text.slice(1));
      case "Z":
        return this.insert(text.slice(1));
      case "z":
        return this.breakpoints.delete(text.slice(1)) ? "OK" : "E02";
      case "s":
        return this.step();
      case "c":
      case "C":
        return this.goOn();
      case "D":
        return "OK";
      default:
        return "";
    }
  }

  private set(text: string): string {
    const [number = "", value = ""] = text.split("=");
    const index = Number.parseInt(number, 16);
    // rsp: it says OK, and leaves it as it is.
    if (index !== 7) this.registers[index] = Buffer.from(value.padEnd(16, "0"), "hex").readBigUInt64LE();
    return "OK";
  }

  private readMemory(text: string): string {
    const [at = "", length = ""] = text.split(",");
    const start = BigInt(`0x${at}`);
    let answer = "";
    for (let index = 0; index < Number.parseInt(length, 16); index++) {
      const byte = this.memory.get(start + BigInt(index));
      if (byte === undefined) return "E22";
      answer += byte.toString(16).padStart(2, "0");
    }
    return answer;
  }

  private insert(text: string): string {
    if (this.breakpoints.has(text)) return "E17";
    if (!this.remembered.has(text) && this.remembered.size >= 1000) return "E07";
    this.remembered.add(text);
    this.breakpoints.add(text);
    return "OK";
  }

  private step(): string {
    const pc = this.registers[RIP] ?? 0n;
    this.registers[RIP] = this.steps.get(pc) ?? pc + 1n;
    this.registers[FLAGS] = (this.registers[FLAGS] ?? 0n) | TRAP;
    return this.lastStop;
  }

  private lastStop = "T05thread:01;";

  private goOn(): string | undefined {
    const next = this.happenings.shift();
    if (next === undefined) return undefined;
    this.lastStop = next.stop;
    if (next.rip !== undefined) this.registers[RIP] = next.rip;
    if (next.flags !== undefined) this.registers[FLAGS] = next.flags;
    this.put(this.activeAt, next.processor ?? 0, 0, 0, 0);
    return next.stop;
  }
}

function hex(value: bigint, bytes: number): string {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt.asUintN(64, value));
  return buffer.subarray(0, bytes).toString("hex");
}
