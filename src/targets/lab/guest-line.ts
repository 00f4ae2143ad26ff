import { performance } from "node:perf_hooks";
import type { Duplex } from "node:stream";
import { TargetError } from "../../base/errors.js";
import { PORTS } from "./init-script.js";
import { Idleness } from "./idleness.js";
import { type MachineEnd, machineEndText } from "./machine-end.js";

/** How long the guest may be silent before it is sent an empty line. */
const NUDGE_MILLISECONDS = 3000;
/** The guest's terminals keep so many, and more, where nobody reads them. */
const MOST_NUDGES = 1000;
const IDLE_MILLISECONDS = 30_000;

export interface GuestLineParts {
  /** The serial ports, by number; undefined: not ours to speak on. */
  readonly ports: readonly (Duplex | undefined)[];
  /** QEMU's process id. */
  readonly pid: number;
  /** When and how the machine ended. */
  readonly ended: Promise<MachineEnd>;
  /** What its console said. */
  readonly console: () => string;
  /** A guest that was asked something, does nothing and says nothing for so long does not answer any more. */
  readonly idleFor?: number;
}

/** What is said to the guest's first program, and what it answers: a line each. */
export class GuestLine {
  private rest = "";
  private waiting: ((line: string) => void) | undefined;

  constructor(private readonly parts: GuestLineParts) {
    parts.ports[PORTS.control]?.on("data", (bytes: Buffer) => {
      const lines = (this.rest + bytes.toString("latin1")).split("\n");
      this.rest = lines.pop() ?? "";
      for (const line of lines) this.waiting?.(line.trim());
    });
  }

  say(line: string): void {
    this.parts.ports[PORTS.control]?.write(`${line}\n`);
  }

  /**
   * Waits for a line of the guest that begins with a word.
   *
   * @param patience milliseconds; Infinity: for as long as the machine lives, since a command may do nothing for long
   * @param what     what it is that did not happen, for a sentence
   * @returns what stands behind the word
   */
  async answer(word: string, patience: number, what: string): Promise<string> {
    const timers: NodeJS.Timeout[] = [];
    const asked = performance.now();
    const line = new Promise<string>((resolve, reject) => {
      this.waiting = (text) => {
        const [first, rest = ""] = text.split(" ", 2);
        if (first === word) resolve(rest);
      };
      const late = (why: string, waited: number): void => {
        const seconds = Math.round(waited / 1000);
        reject(new TargetError(`${what} within ${String(seconds)} s${why}${this.consoleTail()}`));
      };
      timers.push(this.nudge());
      if (patience === Infinity) return;
      // A timer may come a fraction of a millisecond early: what is told is what was agreed.
      timers.push(
        setTimeout(late, patience, "", patience),
        this.watchIdleness((why) => {
          late(why, performance.now() - asked);
        }),
      );
    });
    const gone = this.parts.ended.then((end) => {
      const tail = end.kind === "panicked" || end.kind === "failed" ? "" : this.consoleTail();
      throw new TargetError(`${machineEndText(end)}${tail}`);
    });
    gone.catch(() => undefined); // Where the line came first nobody looks at it.
    try {
      return await Promise.race([line, gone]);
    } finally {
      for (const timer of timers) clearInterval(timer);
      this.waiting = undefined;
    }
  }

  /**
   * An interrupt of a serial port can be lost on a busy machine, and what waits in the guest waits for the
   * next one: so there is one every now and then, by an empty line that nobody minds.
   */
  private nudge(): NodeJS.Timeout {
    const ports = [PORTS.output, PORTS.error, PORTS.control].map((port) => this.parts.ports[port]);
    let left = MOST_NUDGES;
    const timer = setInterval(() => {
      for (const port of ports) port?.write("\n");
      if (--left === 0) clearInterval(timer);
    }, NUDGE_MILLISECONDS);
    return timer;
  }

  /** Nobody need wait for a guest that could answer and does not. */
  private watchIdleness(late: (why: string) => void): NodeJS.Timeout {
    const { pid, idleFor = IDLE_MILLISECONDS } = this.parts;
    const idleness = new Idleness(pid);
    return setInterval(() => {
      if (idleness.milliseconds() >= idleFor) late(", and does nothing (or is held at its stub)");
    }, idleFor / 10);
  }

  private consoleTail(): string {
    const lines = this.parts
      .console()
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== "");
    return lines.length === 0
      ? "; its console said nothing"
      : `; its console said last: ${lines.slice(-4).join(" | ")}`;
  }
}
