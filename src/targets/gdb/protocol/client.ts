import type { RegisterFile } from "../../../arch/x86_64/registers.js";
import type { Address } from "../../../base/address.js";
import { connect, type ConnectOptions } from "./connect.js";
import type { Connection } from "./connection.js";
import { StubError } from "./errors.js";
import { Exchange, type ExchangeTimes } from "./exchange.js";
import { type Features, greet } from "./features.js";
import { bytesOfHex, hexOfText } from "./hex.js";
import { MemoryAccess } from "./memory-access.js";
import { PacketBuilder } from "./packet-builder.js";
import { Pipeline } from "./pipeline.js";
import { RegisterAccess } from "./register-access.js";
import { RegisterLayout } from "./register-layout.js";
import { type ResumeAction, RunControl } from "./run-control.js";
import type { StopReply } from "./stop-reply.js";
import { readDescription } from "./target-description.js";
import { type StubThread, ThreadIds } from "./thread-ids.js";
import { HostFiles, readObject } from "./transfer.js";

export interface ClientOptions extends ConnectOptions {
  readonly times?: Partial<ExchangeTimes>;
  /** Use non-stop mode where the stub has it. Default: no. */
  readonly nonStop?: boolean;
  /** Be told of forks and execs. Default: no. */
  readonly events?: boolean;
  /** `target extended-remote`: the stub stays when its program ends, and can start another. */
  readonly extended?: boolean;
  /** The longest packet that the stub takes, bytes, where it does not say so itself. */
  readonly packetSize?: number;
  /** What the target prints through the stub. */
  readonly onConsole?: (text: string) => void;
}

/** What `Z` and `z` insert and remove. */
export const BREAK = { software: 0, hardware: 1, write: 2, read: 3, access: 4 } as const;
export type BreakKind = (typeof BREAK)[keyof typeof BREAK];

/** More threads than a target has. */
const MOST_THREADS = 1_000_000;

/**
 * A client of a stub of the GDB remote serial protocol. Every call blocks until it is answered, and no longer
 * than {@link ExchangeTimes.answerWithin}; only {@link waitStop} waits for the target.
 *
 * Calls throw {@link StubError}: what the stub cannot do, why the connection is of no use any more.
 */
export class GdbClient implements Disposable {
  readonly features: Features;
  /** Of the program that there is; known once there is one. */
  layout: RegisterLayout;
  readonly files: HostFiles;
  /** Several questions at once. */
  readonly pipeline: Pipeline;
  /** Threads, by what the stub calls them. */
  readonly ids = new ThreadIds();
  /** Each thread stops by itself. */
  readonly isNonStop: boolean;
  readonly isExtended: boolean;

  private readonly packet = new PacketBuilder();
  private readonly exchange: Exchange;
  private readonly memory: MemoryAccess;
  private registers: RegisterAccess;
  private readonly run: RunControl;
  private readonly onConsole: (text: string) => void;
  /** Whom `g` and `m` are about; undefined: nobody knows. */
  private selected: StubThread | undefined;
  private readonly known = new Map<string, boolean>();

  /** @param connection from here on the client's own */
  private constructor(
    private readonly connection: Connection,
    options: ClientOptions,
  ) {
    const exchange = new Exchange(connection, options.times);
    this.exchange = exchange;
    this.onConsole = options.onConsole ?? ((): void => undefined);
    const { packet } = this;
    this.features = greet(exchange, packet, {
      events: options.events === true,
      packetSize: options.packetSize,
    });
    this.isExtended = options.extended === true && this.agrees("!");
    this.isNonStop = options.nonStop === true && this.features.has("QNonStop") && this.agrees("QNonStop:1");
    const { packetSize } = this.features;
    this.layout = this.describe();
    this.pipeline = new Pipeline(exchange, this.layout, (thread) => {
      this.selected = thread;
      this.registers.forget();
    });
    this.files = new HostFiles(exchange, packet, packetSize);
    this.memory = new MemoryAccess(exchange, packet, packetSize, this.features.has("binary-upload"));
    this.registers = new RegisterAccess(exchange, packet, this.layout);
    this.run = new RunControl(exchange, packet, this.ids, this.isNonStop, this.onConsole);
  }

  /**
   * Connects, finds out what the stub can do, and what the target's registers are. The target's being
   * connected to may stop it: see {@link stopReason}.
   *
   * @param spec see parseStubAddress
   * @throws UsageError  the address is none
   * @throws TargetError nobody is there, or not a stub, or its target is not x86-64
   */
  static connect(spec: string, options: ClientOptions = {}): GdbClient {
    return GdbClient.over(connect(spec, options), options);
  }

  /** As {@link connect}, over a connection that is there. It is closed should this fail. */
  static over(connection: Connection, options: ClientOptions = {}): GdbClient {
    try {
      return new GdbClient(connection, options);
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /** The stub's address, as sentences name it. */
  get name(): string {
    return this.connection.name;
  }

  /** Why nothing can be asked any more; undefined while all is well. */
  get broken(): StubError | undefined {
    return this.exchange.isBroken;
  }

  get isRunning(): boolean {
    return this.run.isRunning;
  }

  /** Closes the connection, and says nothing to the stub: see {@link detach}. */
  [Symbol.dispose](): void {
    this.exchange.finish();
    this.connection[Symbol.dispose]();
  }

  /**
   * Packets are acknowledged no longer, though the stub did not agree to that: QEMU takes the next packet as
   * the acknowledgement of its last, whatever else comes. Only where nothing gets lost on the way.
   */
  leaveOutAcknowledgements(): void {
    this.exchange.acknowledges = false;
  }

  // Threads

  /** All threads. A stub that knows none has one without a name: the list is empty. */
  threads(): StubThread[] {
    const { exchange, packet } = this;
    const threads: StubThread[] = [];
    exchange.ask(packet.start("qfThreadInfo"));
    // gdbserver's answer as long as it has no program.
    if (exchange.errorCode() !== undefined) return threads;
    for (;;) {
      const text = exchange.text();
      // KGDB ends its list with nothing at all.
      if (text === "l" || text === "") return threads;
      if (!text.startsWith("m")) throw exchange.unexpected("list its threads");
      for (const name of text.slice(1).split(",")) {
        const thread = this.ids.parse(name);
        if (thread === undefined || threads.length === MOST_THREADS)
          throw exchange.nonsense("list its threads");
        threads.push(thread);
      }
      exchange.ask(packet.start("qsThreadInfo"));
    }
  }

  /** Whether the stub still has this thread. */
  isAlive(thread: StubThread): boolean {
    this.exchange.ask(this.packet.start("T").text(thread.text));
    return this.exchange.is("OK");
  }

  /** What the stub says of a thread to people; `""` where it says nothing. */
  describeThread(thread: StubThread): string {
    this.exchange.ask(this.packet.start("qThreadExtraInfo,").text(thread.text));
    const bytes = this.exchange.errorCode() === undefined ? bytesOfHex(this.exchange.text()) : undefined;
    return bytes === undefined ? "" : Buffer.from(bytes).toString("utf8");
  }

  /** Whom memory and registers are of now, where that is known. */
  get selectedThread(): StubThread | undefined {
    return this.selected;
  }

  /** Makes memory and registers be those of a thread. Costs nothing where it is selected already. */
  select(thread: StubThread): void {
    if (this.selected === thread) return;
    this.selected = undefined;
    this.registers.forget();
    this.exchange.ask(this.packet.start("Hg").text(thread.text));
    this.exchange.mustBeOk(`select thread ${thread.text}`);
    this.selected = thread;
  }

  // Memory: as the selected thread sees it

  /** @returns bytes read, up to the first that cannot be read */
  readMemory(at: Address, into: Uint8Array, start = 0, length: number = into.length - start): number {
    return this.memory.read(at, into, start, length);
  }

  /** @returns bytes written: all, or up to a piece that the stub refused */
  writeMemory(at: Address, from: Uint8Array, start = 0, length: number = from.length - start): number {
    return this.memory.write(at, from, start, length);
  }

  // Registers: of the selected thread

  readRegisters(into: RegisterFile): void {
    this.registers.read(into);
  }

  /** Writes those that differ from what was read last. */
  writeRegisters(from: RegisterFile): void {
    this.registers.write(from);
    from.dirty = false;
  }

  /** Any register that the stub describes: `cr3`, `k_gs_base`. @returns undefined where it has none or gives no value */
  readRegister(name: string): bigint | undefined {
    const register = this.layout.find(name);
    return register === undefined ? undefined : this.registers.readOne(register);
  }

  /** @throws StubError the stub has no such register, or does not let it be written */
  writeRegister(name: string, value: bigint): void {
    const register = this.layout.find(name);
    if (register === undefined)
      throw new StubError("unsupported", `${this.name}: the stub's target has no register ${name}`);
    this.registers.writeOne(register, value);
  }

  // Breakpoints and watchpoints

  /**
   * @param size bytes: of the breakpoint instruction, or of what is watched
   * @returns false where the stub has none of this kind
   * @throws StubRefusal there is no room for another, or no memory there
   */
  insert(kind: BreakKind, at: Address, size: number): boolean {
    this.exchange.ask(this.packet.start(`Z${kind},`).hex(at).text(",").hex(size));
    if (this.exchange.replyLength === 0) return false;
    this.exchange.mustBeOk(kind <= BREAK.hardware ? "insert a breakpoint" : "watch memory");
    return true;
  }

  /** @returns false where the stub has none of this kind */
  remove(kind: BreakKind, at: Address, size: number): boolean {
    this.exchange.ask(this.packet.start(`z${kind},`).hex(at).text(",").hex(size));
    if (this.exchange.replyLength === 0) return false;
    this.exchange.mustBeOk(kind <= BREAK.hardware ? "remove a breakpoint" : "watch memory no longer");
    return true;
  }

  // Running

  /** What `vCont` can do: `c C s S t r`; nothing where the stub has no vCont. */
  get vContActions(): ReadonlySet<string> {
    return this.run.vContActions;
  }

  /** Sets threads going. What was read of them is of the past. */
  resume(actions: readonly ResumeAction[]): void {
    this.registers.forget();
    // Which one is when they stop again the stop tells; should it not be understood, nobody knows.
    if (!this.isNonStop) this.selected = undefined;
    this.run.resume(actions);
  }

  /**
   * All threads go on, or one alone, behind what the pipeline holds: where nothing is acknowledged all of it
   * is sent at once.
   */
  continueBehindPipeline(only?: StubThread): void {
    if (this.exchange.acknowledges || !this.vContActions.has("c")) {
      this.pipeline.flush();
      this.resume([{ thread: only, how: "continue" }]);
      return;
    }
    this.registers.forget();
    this.pipeline.flushAndTell(`vCont;c${only === undefined ? "" : `:${only.text}`}`);
    this.exchange.isRunning = true;
  }

  /** All threads go on. */
  continueAll(): void {
    this.resume([{ thread: undefined, how: "continue" }]);
  }

  /**
   * Waits for the next stop.
   *
   * @param until as performance.now() counts; Infinity: for ever
   * @returns undefined at the deadline
   */
  waitStop(until: number): StopReply | undefined {
    const stop = this.run.wait(until);
    if (stop !== undefined) this.stoppedWith(stop);
    return stop;
  }

  /** Asks the running target to stop; {@link waitStop} brings that, or a stop that came first. */
  interrupt(): void {
    this.run.interrupt();
  }

  /** Non-stop mode: asks one running thread to stop; {@link waitStop} brings that, or a stop that came first. */
  stop(thread: StubThread): void {
    this.exchange.ask(this.packet.start("vCont;t:").text(thread.text), "harmful");
    this.exchange.mustBeOk(`stop thread ${thread.text}`);
  }

  /** Why the target stands still. */
  stopReason(): StopReply | undefined {
    const stop = this.run.stopReason();
    if (stop !== undefined) this.stoppedWith(stop);
    return stop;
  }

  // Objects, commands, settings

  /** Whether the stub has `qXfer:OBJECT:read`. */
  hasObject(object: string): boolean {
    return this.features.has(`qXfer:${object}:read`);
  }

  /** `auxv`, `exec-file`, `libraries-svr4`, `siginfo`, `threads`. @throws StubError it does not have it */
  readObject(object: string, annex = ""): Uint8Array<ArrayBuffer> {
    return readObject(this.exchange, this.packet, this.features.packetSize, object, annex);
  }

  /** `siginfo` of the selected thread. */
  writeObject(object: string, bytes: Uint8Array): void {
    this.packet.start(`qXfer:${object}:write::0:`);
    if (this.packet.binary(bytes, 0, bytes.length, this.features.packetSize) < bytes.length)
      throw new StubError("unsupported", `${this.name}: the stub's packets are too short for its ${object}`);
    this.exchange.ask(this.packet);
    if (Number.parseInt(this.exchange.text(), 16) !== bytes.length || this.exchange.errorCode() !== undefined)
      throw this.exchange.unexpected(`change its ${object}`);
  }

  /** A command of the stub's own: `info registers` of QEMU. @returns what it prints @throws StubError it fails */
  monitor(command: string): string {
    const { exchange } = this;
    let output = "";
    exchange.ask(
      this.packet.start("qRcmd,").text(hexOfText(command)),
      "harmful",
      exchange.times.commandWithin,
    );
    const until = exchange.now() + exchange.times.commandWithin;
    for (;;) {
      const text = exchange.text();
      if (text === "OK") return output;
      const isOutput = text.startsWith("O");
      const bytes =
        exchange.errorCode() === undefined ? bytesOfHex(isOutput ? text.slice(1) : text) : undefined;
      if (text === "" || bytes === undefined)
        throw exchange.unexpected(`carry out ${JSON.stringify(command)}`);
      output += Buffer.from(bytes).toString("utf8");
      // Without the O it is the whole answer.
      if (!isOutput) return output;
      if (!exchange.listen(until))
        throw exchange.fail("silent", `is not done with ${JSON.stringify(command)}`);
    }
  }

  /** Any packet whose answer is text. @returns "" where the stub does not know it */
  query(text: string): string {
    this.exchange.ask(this.packet.start(text));
    return this.exchange.text();
  }

  /** A packet that sets something. @returns whether the stub did */
  set(text: string): boolean {
    return this.agrees(text);
  }

  /** A packet that goes with the next one that is sent. @param answered may look at nothing but whether it is called */
  post(text: string, answered: () => void): void {
    this.exchange.post(this.packet.start(text), answered);
  }

  /** Signals (GDB's numbers) that the stub passes on to the program without telling us. @returns whether it will */
  passSignals(signals: readonly number[]): boolean {
    return this.agrees(`QPassSignals:${signals.map((each) => each.toString(16)).join(";")}`);
  }

  /** Signals that the program may have delivered at all; the rest is dropped. */
  programSignals(signals: readonly number[]): boolean {
    return this.agrees(`QProgramSignals:${signals.map((each) => each.toString(16)).join(";")}`);
  }

  /** Stops for threads that begin (`create`) and end (`w`). @returns whether they will come */
  threadEvents(on: boolean): boolean {
    return this.features.has("QThreadEvents") && this.agrees(`QThreadEvents:${on ? 1 : 0}`);
  }

  // Beginnings and ends

  /** Starts a program; needs an extended stub. @returns its first stop */
  start(argv: readonly string[]): StopReply {
    this.selected = undefined;
    return this.firstStop(`vRun;${argv.map(hexOfText).join(";")}`, `start ${argv[0] ?? "a program"}`);
  }

  /** Attaches to a process; needs an extended stub. @returns its first stop */
  attach(process: number): StopReply {
    this.selected = undefined;
    return this.firstStop(`vAttach;${process.toString(16)}`, `attach to process ${process}`);
  }

  /**
   * Lets the target go on without us. Breakpoints are ours to remove before; QEMU and gdbserver remove those of
   * `Z` themselves.
   *
   * @param process where the stub knows processes; undefined: the one there is
   */
  detach(process?: number): void {
    this.exchange.ask(
      process === undefined ? this.packet.start("D") : this.packet.start("D;").hex(process),
      "harmful",
    );
    this.exchange.mustBeOk("let the target go");
  }

  /** Ends the target. The stub may end with it, without an answer. */
  kill(process?: number): void {
    try {
      if (process === undefined) {
        this.exchange.tell(this.packet.start("k"));
        return;
      }
      this.exchange.ask(this.packet.start("vKill;").hex(process), "harmful");
    } catch (error) {
      if (!(error instanceof StubError) || error.kind !== "closed") throw error;
      return;
    }
    this.exchange.mustBeOk("end the target");
  }

  private firstStop(text: string, what: string): StopReply {
    this.exchange.ask(this.packet.start(text), "harmful");
    const stop = this.run.parse(this.exchange.text());
    if (stop === undefined) throw this.exchange.unexpected(what);
    this.layout = this.describe();
    this.registers = new RegisterAccess(this.exchange, this.packet, this.layout);
    this.stoppedWith(stop);
    return stop;
  }

  private stoppedWith(stop: StopReply): void {
    this.registers.forget();
    // Both gdbserver and QEMU make the thread that they tell of the selected one, and gdb relies on it.
    if (!this.isNonStop) this.selected = stop.kind === "stopped" ? stop.thread : undefined;
  }

  private describe(): RegisterLayout {
    if (!this.hasObject("features")) return RegisterLayout.plain();
    // Before a thread is selected gdbserver has no description, and dies of being asked for it.
    this.exchange.ask(this.packet.start("Hg0"));
    // There is no program yet: see start and attach.
    if (this.exchange.errorCode() !== undefined) return RegisterLayout.plain();
    const description = readDescription(
      (document) => Buffer.from(this.readObject("features", document)).toString("utf8"),
      this.name,
    );
    return RegisterLayout.fromDescription(description, this.name);
  }

  /** Remembers what a stub does not know. */
  private agrees(text: string): boolean {
    const key = text.split(":", 1)[0] ?? text;
    if (this.known.get(key) === false) return false;
    this.exchange.ask(this.packet.start(text));
    this.known.set(key, this.exchange.replyLength > 0);
    return this.exchange.is("OK");
  }
}
