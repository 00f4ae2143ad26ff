import type { Duplex } from "node:stream";
import { TargetError } from "../../base/errors.js";

/** Why QEMU says that a machine ends: `reason` of the event SHUTDOWN. QEMU QMP Reference Manual. */
export type ShutdownReason = string;

interface Message {
  readonly event?: unknown;
  readonly data?: { readonly reason?: unknown };
  readonly id?: unknown;
  readonly error?: { readonly desc?: unknown };
}

/** QEMU's machine protocol: one JSON object a line. */
export class MachineProtocol {
  private rest = "";
  private readonly waiting = new Map<number, (message: Message) => void>();
  private commands = 0;
  /** Why the machine shuts down; undefined: it does not, as far as is known. */
  shutdown: ShutdownReason | undefined;

  constructor(private readonly line: Duplex) {
    line.setEncoding("utf8");
    line.on("data", (text: string) => {
      this.add(text);
    });
    line.on("error", () => undefined); // The line ends with QEMU, and that is told elsewhere.
    // Events come once the abilities are settled.
    line.write('{"execute":"qmp_capabilities"}\n');
  }

  /** Has a command carried out. @throws TargetError QEMU refuses; where it ends before, this is never settled */
  async execute(command: string, words: Readonly<Record<string, string>>): Promise<void> {
    const id = ++this.commands;
    const answered = new Promise<Message>((resolve) => this.waiting.set(id, resolve));
    this.line.write(`${JSON.stringify({ execute: command, arguments: words, id })}\n`);
    const { error } = await answered;
    if (error !== undefined) throw new TargetError(`QEMU refuses ${command}: ${String(error.desc)}`);
  }

  private add(text: string): void {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.take(line);
  }

  private take(line: string): void {
    if (line.trim() === "") return;
    const message = JSON.parse(line) as Message;
    if (message.event === "SHUTDOWN") this.shutdown = String(message.data?.reason);
    if (typeof message.id !== "number") return;
    this.waiting.get(message.id)?.(message);
    this.waiting.delete(message.id);
  }
}
