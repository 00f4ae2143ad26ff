// One client and one stub: a seeded row of questions whose answers are known, over a line that misbehaves.
import { RegisterFile } from "../../../../src/arch/x86_64/registers.js";
import type { Address } from "../../../../src/base/address.js";
import { TargetError } from "../../../../src/base/errors.js";
import { GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import { StubError } from "../../../../src/targets/gdb/protocol/errors.js";
import type { Random } from "../../../fuzz/random.js";
import { Line, type LineFault, Tape } from "./line.js";
import { Machine, MACHINE_REGISTERS } from "./machine.js";
import { ABLE, ModelStub, POOR, type StubAbilities } from "./model-stub.js";

const TIMES = { answerWithin: 1000, ackWithin: 50, quietFor: 100, commandWithin: 1000 };
const LATE = { ms: 80 };
/** A question may be many packets. */
const longest = (writes: number): number => (writes + 2) * TIMES.answerWithin;
const QUESTIONS = 24;

export interface SessionResult {
  readonly right: number;
  readonly errors: readonly string[];
  readonly used: ReadonlyMap<LineFault, number>;
}

/** Something is wrong with the client. */
class WrongAnswer extends Error {}

/**
 * @param tape what the line does, one byte for each packet
 * @throws TargetError the client gave up in the end, with a sentence
 * @throws WrongAnswer an answer that is not right, or too late
 */
export function runSession(tape: Uint8Array, random: Random, name: string): SessionResult {
  const machine = new Machine();
  const nonStop = random.once(3);
  const can: StubAbilities = random.once(3)
    ? { ...POOR, packetSize: 64 + random.below(400) }
    : {
        ...ABLE,
        noAck: random.once(2),
        vCont: nonStop || !random.once(4),
        nonStop,
        multiprocess: random.once(2),
        describes: !random.once(3),
        binaryWrites: random.once(2),
        binaryReads: random.once(2),
        singleRegisters: random.once(2),
        packetSize: 128 + random.below(4000),
        runs: random.once(2),
      };
  const line = new Line(name, new Tape(tape), LATE);
  const stub = new ModelStub(machine, can, (bytes) => line.deliver(bytes));
  line.onWrite = (bytes) => stub.receive(bytes);
  line.acknowledges = () => stub.acknowledges;
  line.isNonStop = nonStop;
  const errors: string[] = [];
  let right = 0;
  const begun = line.time;
  using client = GdbClient.over(line, { times: TIMES, nonStop });
  // In non-stop mode threads that stand are told of first.
  if (client.isNonStop) {
    client.stopReason();
    while (client.waitStop(line.time) !== undefined);
  }
  if (line.time - begun > longest(line.writes)) throw new WrongAnswer("greeting took too long");
  const asker = new Asker(client, machine, line, random);
  for (let question = 0; question < QUESTIONS; question++) {
    const start = line.time;
    const { writes } = line;
    const broken = client.broken;
    try {
      asker.ask();
      if (broken !== undefined) throw new WrongAnswer("an answer over a connection of no use");
      right++;
    } catch (error) {
      if (!(error instanceof TargetError) || error instanceof Lost) throw error;
      if (broken !== undefined && error !== broken)
        throw new WrongAnswer(`another error than the first: ${error.message}, ${broken.message}`);
      if (!error.message.includes(name))
        throw new WrongAnswer(`a sentence without its stub: ${error.message}`);
      errors.push(error instanceof StubError ? error.kind : error.name);
      asker.failed();
    }
    if (line.time - start > longest(line.writes - writes)) throw new WrongAnswer("an answer took too long");
  }
  if (client.broken !== undefined) throw client.broken;
  return { right, errors, used: line.used };
}

class Asker {
  private readonly registers = new RegisterFile();
  /** Nobody knows what became of the last change. */
  private unsure = false;

  constructor(
    private readonly client: GdbClient,
    private readonly machine: Machine,
    private readonly line: Line,
    private readonly random: Random,
  ) {}

  /** A question failed: a change may have happened or not. */
  failed(): void {
    this.unsure = true;
  }

  ask(): void {
    const before = this.line.lies;
    const lied = (): boolean => this.line.lies > before;
    switch (this.random.below(8)) {
      case 0:
      case 1:
        return this.readMemory(lied);
      case 2:
        return this.writeMemory(lied);
      case 3:
        return this.readRegisters(lied);
      case 4:
        return this.writeRegisters();
      case 5:
        return this.threads(lied);
      case 6:
        return this.step(lied);
      default:
        return this.others(lied);
    }
  }

  private place(): { at: Address; length: number } {
    const base = this.random.once(2) ? 0x40_0000 : -0x7f00_0000;
    return { at: (base + this.random.below(5 * 4096)) as Address, length: 1 + this.random.below(3000) };
  }

  private readMemory(lied: () => boolean): void {
    this.selectSome();
    const { at, length } = this.place();
    const into = new Uint8Array(length);
    const count = this.client.readMemory(at, into);
    const truth = this.machine.read(at, length);
    if (count > truth.length || (count < truth.length && !lied()))
      throw new WrongAnswer(`read ${count} bytes of ${truth.length}`);
    same(into.subarray(0, count), truth.subarray(0, count), "memory", lied());
  }

  private writeMemory(lied: () => boolean): void {
    this.selectSome();
    const { at, length } = this.place();
    const bytes = Uint8Array.from({ length }, () => this.random.below(256));
    const count = this.client.writeMemory(at, bytes);
    same(this.machine.read(at, count), bytes.subarray(0, count), "written memory", false);
    if (count < length && this.machine.read(at, length).length === length && !lied())
      throw new WrongAnswer(`wrote ${count} bytes of ${length}`);
  }

  private readRegisters(lied: () => boolean): void {
    const thread = this.selectSome();
    this.client.readRegisters(this.registers);
    for (const { name } of MACHINE_REGISTERS) {
      const truth = thread.registers.get(name);
      if (this.registers.read(name as "rax") !== truth && !this.unsure && !lied())
        throw new WrongAnswer(`${name} is ${this.registers.read(name as "rax")}, not ${truth}`);
    }
  }

  private writeRegisters(): void {
    const thread = this.selectSome();
    this.client.readRegisters(this.registers);
    const name = this.random.pick(["rax", "rip", "r12", "rsp"] as const);
    const value = BigInt(this.random.below(2 ** 31)) * 0x1_0001_0001n;
    this.registers.write(name, value);
    this.client.writeRegisters(this.registers);
    // They go with the next question.
    this.client.isAlive({ text: "1", process: undefined, thread: 1 });
    if (thread.registers.get(name) !== value) throw new WrongAnswer(`${name} was not written`);
    const read = this.client.readRegister(name);
    if (read !== undefined && read !== value) throw new WrongAnswer(`${name} reads as ${read}`);
  }

  private threads(lied: () => boolean): void {
    const found = this.client.threads().map(({ thread }) => thread);
    const truth = this.machine.threads.map(({ thread }) => thread);
    if (String(found) !== String(truth) && !lied()) throw new WrongAnswer(`threads ${String(found)}`);
  }

  private step(lied: () => boolean): void {
    const thread = this.selectSome();
    const before = thread.registers.get("rip") ?? 0n;
    const [own] = this.client.threads().filter((each) => each.thread === thread.thread);
    if (own === undefined) {
      if (lied()) return;
      throw new WrongAnswer("a thread is missing");
    }
    this.client.resume([{ thread: own, how: "step" }]);
    const stop = this.wait();
    if (stop?.kind !== "stopped") {
      if (lied()) return;
      throw new WrongAnswer(`stepped: ${JSON.stringify(stop)}`);
    }
    if (stop.thread !== own && !lied() && !this.unsure) throw new WrongAnswer("another thread stepped");
    const steps = Number((thread.registers.get("rip") ?? 0n) - before);
    if (steps !== 1 && !lied() && !this.unsure) throw new WrongAnswer(`stepped ${steps} times`);
  }

  private others(lied: () => boolean): void {
    switch (this.random.below(3)) {
      case 0: {
        const at = this.place().at;
        this.client.insert(0, at, 1);
        this.client.remove(0, at, 1);
        return;
      }
      case 1: {
        const faults = this.line.faults;
        const said = this.client.monitor("hello");
        // Pieces of output bear no numbers: that one is lost or comes twice cannot be seen, nor that there
        // is more behind an error.
        if (said !== "said: hello" && this.line.faults === faults && this.line.lies === 0)
          throw new WrongAnswer(`monitor said ${said}`);
        return;
      }
      default: {
        if (this.client.isNonStop) {
          this.stopOne();
          return;
        }
        this.client.continueAll();
        if (this.client.waitStop(this.line.time + 5) !== undefined) {
          if (lied() || this.unsure) return;
          throw new WrongAnswer("stopped by itself");
        }
        this.client.interrupt();
        const stop = this.wait();
        if (stop?.kind !== "stopped" || stop.signal !== 2) {
          if (lied()) return;
          throw new WrongAnswer(`interrupted: ${JSON.stringify(stop)}`);
        }
      }
    }
  }

  /** One thread goes, is asked to stop, and does; the others stand. */
  private stopOne(): void {
    const lies = this.line.lies;
    // Nor where a question failed before, whose stop may still come.
    const believed = (): boolean => this.line.lies === lies && !this.unsure;
    const truth = this.selectSome();
    const thread = this.client.threads().find((each) => each.thread === truth.thread);
    if (thread === undefined) throw new Lost(`${this.client.name}: no such thread`);
    this.client.resume([{ thread, how: "continue" }]);
    if (this.client.waitStop(this.line.time + 5) !== undefined && believed())
      throw new WrongAnswer("stopped by itself");
    this.client.stop(thread);
    const stop = this.wait();
    if ((stop?.kind !== "stopped" || stop.thread !== thread || stop.signal !== 0) && believed())
      throw new WrongAnswer(`stopped: ${JSON.stringify(stop)}`);
  }

  /** A stop that does not come is a lost packet, and with it the session. */
  private wait(): ReturnType<GdbClient["waitStop"]> {
    const stop = this.client.waitStop(this.line.time + 2 * TIMES.answerWithin);
    if (stop === undefined) throw new Lost(`${this.client.name}: no stop came`);
    return stop;
  }

  private selectSome(): (typeof this.machine.threads)[number] {
    const threads = this.client.threads();
    const index = this.random.below(this.machine.threads.length);
    const truth = this.machine.threads[index];
    const thread = threads[index];
    if (truth === undefined || thread === undefined) throw new Lost(`${this.client.name}: no such thread`);
    this.client.select(thread);
    return truth;
  }
}

/** What the target itself does not do: for the caller of the client to deal with. */
class Lost extends TargetError {}

function same(one: Uint8Array, other: Uint8Array, what: string, lied: boolean): void {
  if (Buffer.compare(one, other) !== 0 && !lied) throw new WrongAnswer(`${what} is wrong`);
}
