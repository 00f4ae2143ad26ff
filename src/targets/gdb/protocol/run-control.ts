import type { Exchange } from "./exchange.js";
import { bytesOfHex } from "./hex.js";
import type { PacketBuilder } from "./packet-builder.js";
import { type StubError } from "./errors.js";
import { parseStopReply, type StopReply } from "./stop-reply.js";
import type { StubThread, ThreadIds } from "./thread-ids.js";

/** What some threads are to do. */
export interface ResumeAction {
  /** Undefined: all that no other action names. */
  readonly thread: StubThread | undefined;
  readonly how: "continue" | "step";
  /** GDB's number of a signal to deliver. */
  readonly signal?: number | undefined;
}

/** `File-I/O` is refused: the target has no business with our files. 88: ENOSYS. GDB manual, "Errno Values". */
const NO_FILES = "F-1,58";

/** Sets a target going, and waits for its stops. */
export class RunControl {
  /** Stops that came, and nobody waited for. */
  private readonly stops: StopReply[] = [];
  private actions: ReadonlySet<string> | undefined;
  /** A stop was notified, and the stub waits to be asked for more. */
  private untold = false;
  private lastTold: "vCont" | "plain" = "vCont";

  constructor(
    private readonly exchange: Exchange,
    private readonly packet: PacketBuilder,
    private readonly threads: ThreadIds,
    private readonly isNonStop: boolean,
    private readonly onConsole: (text: string) => void,
  ) {
    exchange.onNotification = (text) => {
      this.notified(text);
    };
  }

  /** Is it running, all-stop? Then nothing else can be asked of the stub. */
  get isRunning(): boolean {
    return this.exchange.isRunning;
  }

  /** Which of `c C s S t r` the stub takes in `vCont`; none where it has no vCont. */
  get vContActions(): ReadonlySet<string> {
    if (this.actions !== undefined) return this.actions;
    this.exchange.ask(this.packet.start("vCont?"));
    const text = this.exchange.text();
    const actions = new Set(text.startsWith("vCont") ? text.split(";").slice(1) : []);
    this.actions = actions;
    return actions;
  }

  resume(actions: readonly ResumeAction[]): void {
    if (this.exchange.isBroken !== undefined) throw this.exchange.isBroken;
    if (this.isRunning) throw new Error("the target is running");
    const { packet } = this;
    if (this.vContActions.has("c")) {
      packet.start("vCont");
      for (const { thread, how, signal } of actions) {
        const letter = how === "step" ? "s" : "c";
        packet.text(";").text(signal === undefined ? letter : letter.toUpperCase());
        if (signal !== undefined) packet.text(signal < 16 ? "0" : "").hex(signal);
        if (thread !== undefined) packet.text(":").text(thread.text);
      }
      this.lastTold = "vCont";
    } else this.withoutVCont(actions);
    if (this.isNonStop) {
      this.exchange.ask(packet, "harmful");
      this.exchange.mustBeOk("set the target going");
      return;
    }
    const early = this.exchange.tell(packet);
    this.exchange.isRunning = true;
    if (early) this.take();
  }

  /**
   * Waits for a stop.
   *
   * @param until as performance.now() counts; Infinity: for ever
   * @returns undefined at the deadline
   * @throws StubError the stub is gone, or talks nonsense
   */
  wait(until: number): StopReply | undefined {
    for (;;) {
      // Before anybody is told: gdbserver does not set a thread going whose stop is not acknowledged.
      this.collect();
      const stop = this.stops.shift();
      if (stop !== undefined) return stop;
      if (this.exchange.listen(until)) this.take();
      else if (this.stops.length === 0 && !this.untold && this.exchange.now() >= until) return undefined;
    }
  }

  /** Asks a running target to stop. A stop follows, this one or another. */
  interrupt(): void {
    if (this.isNonStop) {
      this.exchange.ask(this.packet.start("vCtrlC"));
      if (this.exchange.replyLength === 0) {
        this.exchange.ask(this.packet.start("vCont;t"), "harmful");
      }
      this.exchange.mustBeOk("stop the target");
      return;
    }
    if (this.isRunning) this.exchange.sendInterrupt();
  }

  /** Why the target stands still now: `?`. In non-stop mode the other threads' stops are waited for as usual. */
  stopReason(): StopReply | undefined {
    this.exchange.ask(this.packet.start("?"));
    const text = this.exchange.text();
    if (this.isNonStop && text === "OK") return undefined;
    const stop = parseStopReply(text, this.threads);
    if (stop === undefined) throw this.exchange.unexpected("say why the target stands still");
    if (this.isNonStop) this.takeAll();
    return stop;
  }

  /** The stop reply that is an answer to something else than resuming; undefined where it is none. */
  parse(text: string): StopReply | undefined {
    return parseStopReply(text, this.threads);
  }

  /** What came by itself in all-stop mode. */
  private take(): void {
    const { exchange } = this;
    const text = exchange.text();
    if (text.startsWith("O") && text !== "OK") {
      const output = bytesOfHex(text.slice(1));
      if (output === undefined) throw exchange.nonsense("run the target");
      this.onConsole(Buffer.from(output).toString("latin1"));
      return;
    }
    if (text.startsWith("F")) {
      exchange.tell(this.packet.start(NO_FILES));
      return;
    }
    if (!this.isRunning) {
      // The answer to an interrupt that came when the target had stopped already.
      if (/^[TS]/.test(text)) return;
      throw exchange.nonsense("do nothing");
    }
    const stop = parseStopReply(text, this.threads);
    this.exchange.isRunning = false;
    if (stop === undefined) throw this.refusedToRun();
    this.stops.push(stop);
  }

  private refusedToRun(): StubError {
    return this.exchange.unexpected(`set the target going${this.lastTold === "plain" ? "" : " by vCont"}`);
  }

  /** Stubs of one thread, and old ones: `Hc` and a letter. */
  private withoutVCont(actions: readonly ResumeAction[]): void {
    const { exchange, packet } = this;
    const first = actions.find(({ thread }) => thread !== undefined) ?? actions[0];
    if (first === undefined) throw new RangeError("nothing is to be resumed");
    exchange.ask(packet.start("Hc").text(first.how === "step" ? (first.thread?.text ?? "0") : "0"));
    if (!exchange.is("OK") && exchange.replyLength > 0)
      throw exchange.unexpected("choose the thread to go on with");
    const letter = first.how === "step" ? "s" : "c";
    if (first.signal === undefined) packet.start(letter);
    else
      packet
        .start(letter.toUpperCase())
        .text(first.signal < 16 ? "0" : "")
        .hex(first.signal);
    this.lastTold = "plain";
  }

  private notified(text: string): void {
    // Any other is of a later version, or of no interest.
    if (!this.isNonStop || !text.startsWith("Stop:")) return;
    const stop = parseStopReply(text.slice("Stop:".length), this.threads);
    if (stop === undefined) throw this.exchange.nonsense("tell a stop");
    this.stops.push(stop);
    this.untold = true;
  }

  /** The stops behind the one that was notified. */
  private takeAll(): void {
    this.untold = false;
    for (;;) {
      this.exchange.ask(this.packet.start("vStopped"), "harmful");
      if (this.exchange.is("OK")) return;
      const stop = parseStopReply(this.exchange.text(), this.threads);
      if (stop === undefined) throw this.exchange.unexpected("tell its stops");
      this.stops.push(stop);
    }
  }

  /**
   * Takes what was notified while something else was asked: with the next packet, so that it costs no way of
   * its own. A thread that is set going comes behind it in any case.
   */
  private collect(): void {
    if (!this.untold) return;
    this.untold = false;
    this.exchange.post(this.packet.start("vStopped"), () => {
      if (this.exchange.is("OK")) return;
      const stop = parseStopReply(this.exchange.text(), this.threads);
      if (stop === undefined) throw this.exchange.unexpected("tell its stops");
      this.stops.push(stop);
      this.untold = true;
    });
  }
}
