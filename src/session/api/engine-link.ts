import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { Mailbox } from "../../handlers/closures/mailbox.js";
import { delayAborts, ownThread } from "../../targets/linux/abort-delay.js";
import { Doorbell } from "../../targets/linux/doorbell.js";
import { beforeDeparture } from "./departure.js";
import { COUNTERS } from "../../probes/probe.js";
import { type HiredThread, hireThread } from "./engine-threads.js";
import {
  type Command,
  type EngineData,
  type EngineStart,
  MAXIMUM_PROBES,
  type Notice,
  type Reply,
} from "./protocol.js";

/** How long this process waits, when it ends, for the engine to leave the target; milliseconds. */
const EXIT_PATIENCE = 3000;

/**
 * The engine's thread, as the caller's thread holds it. From its start on, not only once the target
 * is there, it is seen to it that the engine leaves the target before this process ends: breakpoints
 * left behind would kill it.
 */
export class EngineLink {
  readonly mailbox = new Mailbox();
  readonly counters: Float64Array;
  /** Called first when this process ends. */
  onDeparture: (() => void) | undefined;

  private readonly port: MessagePort;
  private readonly thread: HiredThread;
  private readonly doorbell = new Doorbell();
  private readonly stay: () => void;
  private readonly dieAtOnce: () => void;
  private nextCommand = 1;
  private released = false;

  constructor(start: EngineStart, patience: EngineData["patience"]) {
    const counters = new SharedArrayBuffer(8 * COUNTERS.length * (1 + MAXIMUM_PROBES));
    this.counters = new Float64Array(counters);
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const data: EngineData = {
      start,
      mailbox: this.mailbox.memory,
      doorbell: this.doorbell.buffer,
      counters,
      ownerThread: ownThread(),
      patience,
      port: port2,
    };
    this.stay = beforeDeparture(() => {
      this.leaveNow();
    });
    this.dieAtOnce = delayAborts();
    this.thread = hireThread(data);
  }

  /**
   * What the engine says, to one listener at a time.
   * @param onGone the engine's thread has ended, or has thrown what nobody caught; all that it said was told before
   */
  listen(onMessage: (message: Notice | Reply) => void, onGone: (why: Error) => void): void {
    this.port.removeAllListeners("message").on("message", onMessage);
    this.thread.onGone = (why) => {
      for (
        let left = receiveMessageOnPort(this.port);
        left !== undefined;
        left = receiveMessageOnPort(this.port)
      )
        onMessage(left.message as Notice | Reply);
      onGone(why);
    };
  }

  /** @returns the command's number, by which it is answered */
  send(command: Command): number {
    const number = this.nextCommand++;
    this.port.postMessage({ number, command });
    this.doorbell.ring();
    return number;
  }

  /** The engine has left the target: nothing is to be waited for any more. Also a second time, to no effect. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this.thread.onGone = undefined;
    this.port.close();
    this.doorbell.stop();
    this.stay();
    this.dieAtOnce();
  }

  private leaveNow(): void {
    this.onDeparture?.();
    this.send({ kind: "leave" });
    const until = performance.now() + EXIT_PATIENCE;
    while (this.mailbox.get("left") === 0 && performance.now() < until) {
      this.doorbell.ring();
      this.mailbox.waitWhile(this.mailbox.get("turn"), 2);
    }
    this.release();
  }
}
