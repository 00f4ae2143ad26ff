import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Passes on what a session and a stub say to each other, and counts single steps. */
export class StubProxy implements AsyncDisposable {
  steps = 0;
  /** The machine was told to run, and what it was asked together with that has not been answered. */
  private isGoing = false;
  private readonly folder = mkdtempSync(join(tmpdir(), "trapline-proxy-"));
  private readonly server: Server;

  private constructor(stub: string, late: number) {
    this.server = createServer((client) => {
      const machine = createConnection(stub);
      client.on("data", (bytes: Buffer) => {
        const text = bytes.toString("latin1");
        this.steps += [...text.matchAll(/\$(vCont;s|s#)/g)].length;
        this.isGoing = text.includes("$vCont;c");
        machine.write(bytes);
      });
      machine.on("data", (bytes: Buffer) => {
        if (late > 0 && this.isGoing) setTimeout(() => client.write(bytes), late);
        else client.write(bytes);
      });
      for (const [one, other] of [
        [client, machine],
        [machine, client],
      ] as const)
        one.on("error", () => other.destroy()).on("close", () => other.destroy());
    });
  }

  /** @param late milliseconds that the stub's answers take longer which come when the machine goes on, and when it stops */
  static async start(stub: string, late = 0): Promise<StubProxy> {
    const proxy = new StubProxy(stub, late);
    proxy.server.listen(proxy.path);
    await once(proxy.server, "listening");
    return proxy;
  }

  get path(): string {
    return join(this.folder, "stub");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    await once(this.server, "close");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
