import { createConnection, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { type LineListener, LineReader } from "./line-reader.js";
import { type Entry, HELD_BACK } from "./recording.js";

/** How a kernel that runs is made to stop: the letter behind a BREAK. sysrq(7). */
const BREAK_LETTER = "g";
/** What the kernel says when it listens, to whom it has not spoken yet. kernel/debug/gdbstub.c. */
const LISTENS = "KGDB: Entering KGDB";
const LISTENS_WITHIN = 30_000;
const STOPPED = /^[ST][0-9a-f]{2}/;
/** Packets behind which the kernel runs. */
const RUNS = /^([csDk]|vCont;|[CS][0-9a-f]{2})/;

/**
 * Stands between Trapline and the line of a kernel with KGDB, as a terminal server does that such a line goes
 * through: whoever connects, one after the other, has the line, and finds the kernel listening; a bare 0x03,
 * to which no kernel listens while it runs, becomes a BREAK and a `g`. Writes down what is said.
 */
export class Relay implements AsyncDisposable {
  private readonly entries: Entry[] = [];
  private client: Socket | undefined;
  private consoleText = "";
  private listens = false;
  /** What the stub says comes behind this. */
  private heardOf = Promise.resolve();
  private heard: () => void = () => undefined;

  private constructor(
    readonly path: string,
    private readonly server: Server,
    private readonly line: Socket,
    private readonly sendBreak: () => Promise<void>,
  ) {
    server.on("connection", (client) => {
      this.serve(client);
    });
    const reader = new LineReader(this.told("stub"));
    line.on("data", (bytes: Buffer) => {
      this.heardOf = this.heardOf.then(() => {
        reader.add(bytes);
        this.client?.write(bytes);
      });
    });
    line.on("error", () => undefined); // The machine has ended: who waits for it is told by itself.
    line.on("close", () => this.client?.destroy());
  }

  /**
   * @param path      of the Unix socket to listen at
   * @param stub      of the machine's
   * @param sendBreak puts a BREAK on the line
   */
  static async open(path: string, stub: string, sendBreak: () => Promise<void>): Promise<Relay> {
    const line = createConnection(stub);
    await once(line, "connect");
    const server = createServer();
    server.listen(path);
    await once(server, "listening");
    return new Relay(path, server, line, sendBreak);
  }

  /** What the kernel's console has said all the time. */
  get console(): string {
    return this.consoleText;
  }

  /** Writes down that Trapline is told to end now. */
  signalled(): void {
    this.entries.push({ kind: "signal", text: "" });
    this.heardOf = setTimeout(HELD_BACK);
  }

  /** What has been said since this was asked last. */
  take(): readonly Entry[] {
    return this.entries.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client?.destroy();
    this.line.destroy();
    const closed = once(this.server, "close");
    this.server.close();
    await closed;
  }

  private serve(client: Socket): void {
    this.client?.destroy();
    this.client = client;
    client.setNoDelay(true);
    // Each piece behind the one before: what is written while a BREAK is under way waits for that.
    let written = this.stop();
    const reader = new LineReader({
      ...this.told("client"),
      interrupted: () => {
        this.entries.push({ kind: "interrupt", text: "" });
      },
    });
    client.on("data", (bytes: Buffer) => {
      reader.add(bytes);
      written = written.then(async () => {
        await this.pass(bytes);
      });
    });
    written.catch((error: unknown) => client.destroy(error as Error));
    client.on("error", () => undefined); // Killed, as some sessions are: "close" follows.
    client.on("close", () => {
      if (this.client === client) this.client = undefined;
    });
  }

  /** Makes the kernel listen. Bytes that came before it does would be a terminal's input. */
  private async stop(): Promise<void> {
    if (this.listens) return;
    const heard = new Promise<void>((resolve, reject) => {
      const timer = globalThis.setTimeout(() => {
        reject(new Error(`the kernel does not listen; its console said ${JSON.stringify(this.consoleText)}`));
      }, LISTENS_WITHIN);
      this.heard = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    await this.sendBreak();
    this.line.write(BREAK_LETTER);
    await heard;
  }

  private async pass(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const found = bytes.indexOf(3, at);
      const end = found < 0 ? bytes.length : found;
      if (end > at) this.line.write(bytes.subarray(at, end));
      if (found >= 0) {
        await this.sendBreak();
        this.line.write(BREAK_LETTER);
      }
      at = end + 1;
    }
  }

  private told(kind: "client" | "stub"): LineListener {
    return {
      packet: (text) => {
        this.entries.push({ kind, text });
        if (kind === "client" && RUNS.test(text)) this.listens = false;
        else if (kind === "stub" && STOPPED.test(text)) this.nowListens();
      },
      acknowledged: () => undefined,
      interrupted: () => undefined,
      stray: (text) => {
        if (kind === "stub") this.consoleText += text;
        if (this.consoleText.endsWith(`${LISTENS}\r\n`)) this.nowListens();
        const last = this.entries.at(-1);
        // It comes a few letters at a time.
        if (last?.kind === "console") this.entries.splice(-1, 1, { kind: "console", text: last.text + text });
        else this.entries.push({ kind: "console", text });
      },
    };
  }

  private nowListens(): void {
    this.listens = true;
    this.heard();
  }
}
