import type { Duplex } from "node:stream";

/** Why QEMU says that a machine ends: `reason` of the event SHUTDOWN. QEMU QMP Reference Manual. */
export type ShutdownReason = string;

/** Listens to QEMU's machine protocol: one JSON object a line. */
export class MachineProtocol {
  private rest = "";
  /** Why the machine shuts down; undefined: it does not, as far as is known. */
  shutdown: ShutdownReason | undefined;

  constructor(line: Duplex) {
    line.setEncoding("utf8");
    line.on("data", (text: string) => {
      this.add(text);
    });
    line.on("error", () => undefined); // The line ends with QEMU, and that is told elsewhere.
    // Events come once the abilities are settled.
    line.write('{"execute":"qmp_capabilities"}\n');
  }

  private add(text: string): void {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.take(line);
  }

  private take(line: string): void {
    if (line.trim() === "") return;
    const message = JSON.parse(line) as { event?: unknown; data?: { reason?: unknown } };
    if (message.event === "SHUTDOWN") this.shutdown = String(message.data?.reason);
  }
}
