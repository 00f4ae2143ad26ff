import { type Address, addressOf } from "../../../base/address.js";
import type { ThreadId } from "../../target.js";
import type { GdbClient } from "../protocol/client.js";
import type { ProgramThread } from "./threads.js";

/**
 * Variables of a trace experiment that nobody runs, which gdbserver keeps as long as it lives, whoever is
 * connected: each has a number, a value and a name. GDB manual, "Tracepoint Packets": QTDV, qTfV, qTsV.
 */
const FIRST_NUMBER = 0x5452_0000;
/** Begin the names of ours. */
const BREAKPOINTS = "trapline breakpoints";
const REGISTERS = "trapline registers";
/** Addresses that are named by one variable: each is told anew when one more comes to it. */
const ADDRESSES_EACH = 32;
/** More variables than anybody has. */
const MOST = 1_000_000;

/** A thread that was made to do a call when its tracer was killed. */
export interface Interrupted {
  readonly thread: ThreadId;
  /** Those of a RegisterFile, as they are to be. */
  readonly registers: Uint8Array;
  /** GDB's number of the signal that came meanwhile; 0 for none. */
  readonly signal: number;
}

/**
 * What the next tracer must know should we be killed: gdbserver keeps breakpoints that nobody asks for, hides
 * them from whoever reads the text, and leaves them in it when it lets a program go. So it is told of each, in
 * variables of its own, before it is given the breakpoint; and of what a thread's registers are to be, before
 * they are made to be other ones. It costs no way there and back: it goes with what is asked next.
 */
export class Journal {
  /** Breakpoints of tracers that were killed, and of orderly ones that this stub has outlived. */
  readonly left: ReadonlySet<Address>;
  readonly interrupted: readonly Interrupted[];

  private readonly told: Set<Address>;
  private readonly numbers = new Map<ThreadId, number>();
  private nextNumber = FIRST_NUMBER;
  private addresses: string[] = [];
  private addressesNumber = 0;

  /** Reads what is there. Where the stub has no such variables nothing is kept. */
  constructor(private readonly client: GdbClient) {
    const left = new Set<Address>();
    const interrupted: Interrupted[] = [];
    for (const { number, value, name } of variables(client)) {
      if (number < FIRST_NUMBER) continue;
      this.nextNumber = Math.max(this.nextNumber, number + 1);
      if (name.startsWith(BREAKPOINTS)) for (const at of addressesOf(name)) left.add(at);
      if (!name.startsWith(REGISTERS)) continue;
      const thread = value as ThreadId;
      this.numbers.set(thread, number);
      const [hex = "", signal = "0"] = name.slice(REGISTERS.length).trim().split(" ");
      if (hex !== "")
        interrupted.push({ thread, registers: Buffer.from(hex, "hex"), signal: Number(signal) });
    }
    this.left = left;
    this.interrupted = interrupted;
    this.told = new Set(left);
  }

  /** There will be a breakpoint. */
  breakpoint(at: Address): void {
    if (this.told.has(at)) return;
    this.told.add(at);
    if (this.addresses.length === 0) this.addressesNumber = this.nextNumber++;
    this.addresses.push(at.toString(16));
    this.write(this.addressesNumber, 0, `${BREAKPOINTS} ${this.addresses.join(" ")}`);
    if (this.addresses.length === ADDRESSES_EACH) this.addresses = [];
  }

  /** What a thread's registers are to be again when it is not used any more. @param registers of a RegisterFile */
  used(thread: ProgramThread, registers: Uint8Array): void {
    const hex = Buffer.from(registers).toString("hex");
    this.write(this.numberOf(thread.id), thread.id, `${REGISTERS} ${hex} ${String(thread.deferredStub)}`);
  }

  /** They are what they are to be. */
  unused(thread: ThreadId): void {
    this.write(this.numberOf(thread), thread, REGISTERS);
  }

  private numberOf(thread: ThreadId): number {
    let number = this.numbers.get(thread);
    if (number === undefined) this.numbers.set(thread, (number = this.nextNumber++));
    return number;
  }

  private write(number: number, value: number, name: string): void {
    const hex = Buffer.from(name, "latin1").toString("hex");
    // The answer is of no interest: there is nothing better to be done.
    this.client.post(`QTDV:${number.toString(16)}:${value.toString(16)}:0:${hex}`, () => undefined);
  }
}

function* addressesOf(name: string): Iterable<Address> {
  for (const hex of name.slice(BREAKPOINTS.length).trim().split(" ")) {
    const at = /^[0-9a-f]{1,16}$/.test(hex) ? addressOf(BigInt(`0x${hex}`)) : undefined;
    if (at !== undefined) yield at;
  }
}

interface Variable {
  readonly number: number;
  readonly value: number;
  readonly name: string;
}

const FORM = /^([0-9a-f]{1,8}):([0-9a-f]{1,16}):[01]:((?:[0-9a-f]{2})*)$/i;

function* variables(client: GdbClient): Iterable<Variable> {
  let text = client.query("qTfV");
  for (let count = 0; count < MOST; count++) {
    const [, number, value, name] = FORM.exec(text) ?? [];
    // The end of the list, or a stub that has none.
    if (number === undefined || value === undefined || name === undefined) return;
    yield {
      number: Number.parseInt(number, 16),
      value: Number.parseInt(value, 16),
      name: Buffer.from(name, "hex").toString("latin1"),
    };
    text = client.query("qTsV");
  }
}
