import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { framed, LineReader } from "./line-reader.js";
import { type Entry, HELD_BACK } from "./recording.js";

export interface ReplayHooks {
  /** Here the client was told to end. */
  readonly signalDue?: () => void;
}

/**
 * Plays KGDB as it was recorded: it answers what KGDB answered, as long as it is asked what KGDB was asked. The
 * first packet that is another ends the connection.
 */
export class Replay implements AsyncDisposable {
  private next = 0;
  private isHeldBack = false;
  private client: Socket | undefined;
  private parting: string | undefined;

  private constructor(
    readonly path: string,
    private readonly server: Server,
    private readonly entries: readonly Entry[],
    private readonly hooks: ReplayHooks,
  ) {
    server.on("connection", (client) => {
      this.serve(client);
    });
  }

  /** @param path of the Unix socket to listen at */
  static async open(path: string, entries: readonly Entry[], hooks: ReplayHooks = {}): Promise<Replay> {
    const server = createServer();
    server.listen(path);
    await once(server, "listening");
    return new Replay(path, server, entries, hooks);
  }

  /** Where client and recording part, in a sentence; undefined: nowhere, up to the end. */
  get difference(): string | undefined {
    if (this.parting !== undefined) return this.parting;
    const left = this.entries.slice(this.next).find(({ kind }) => kind !== "console" && kind !== "signal");
    return left === undefined
      ? undefined
      : `after ${this.place()} the client was to go on with ${described(left)}, and left`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client?.destroy();
    const closed = once(this.server, "close");
    this.server.close();
    await closed;
  }

  private serve(client: Socket): void {
    this.client?.destroy();
    this.client = client;
    client.setNoDelay(true);
    const reader = new LineReader({
      packet: (text) => {
        client.write("+");
        this.asked({ kind: "client", text });
      },
      acknowledged: (mark) => {
        if (mark === "-") this.part(`behind ${this.place()} the client says that a packet was damaged`);
      },
      interrupted: () => {
        this.asked({ kind: "interrupt", text: "" });
      },
      stray: (text) => {
        this.part(`behind ${this.place()} the client says what is no packet: ${JSON.stringify(text)}`);
      },
    });
    client.on("data", (bytes: Buffer) => {
      reader.add(bytes);
    });
    client.on("error", () => undefined); // It has left, or was killed: what it did not ask for is told.
    this.answer();
  }

  private asked(said: Entry): void {
    if (this.parting !== undefined) return;
    const expected = this.entries[this.next];
    if (expected?.kind !== said.kind || expected.text !== said.text) {
      const was = expected === undefined ? "nothing" : described(expected);
      this.part(
        `at ${this.place()} the client said ${was} when it was recorded, and says ${described(said)}`,
      );
      return;
    }
    this.next++;
    this.answer();
  }

  /** Says all that came before the client's next word. */
  private answer(): void {
    while (!this.isHeldBack) {
      const entry = this.entries[this.next];
      if (entry === undefined || entry.kind === "client" || entry.kind === "interrupt") return;
      if (entry.kind === "signal") {
        this.next++;
        this.isHeldBack = true;
        this.hooks.signalDue?.();
        setTimeout(() => {
          this.isHeldBack = false;
          this.answer();
        }, HELD_BACK);
        return;
      }
      this.client?.write(Buffer.from(entry.kind === "stub" ? framed(entry.text) : entry.text, "latin1"));
      this.next++;
    }
  }

  private part(sentence: string): void {
    this.parting ??= sentence;
    this.client?.destroy();
  }

  private place(): string {
    return `line ${String(this.next + 1)} of ${String(this.entries.length)}`;
  }
}

function described({ kind, text }: Entry): string {
  if (kind === "interrupt") return "that the kernel is to stop";
  return `${JSON.stringify(text)}${kind === "stub" ? " (the stub's)" : ""}`;
}
