// The model stub as a process: `stub-process HOW [HABIT]`.
//   HOW    tcp: listens on a port of its choosing, which it prints; unix:PATH; stdio
//   HABIT  hangs: answers twenty packets, then no more; closes: closes behind the twentieth; babbles: sends
//          bytes without end; late:MS: listens only then
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { Machine } from "./machine.js";
import { ABLE, ModelStub } from "./model-stub.js";

const [, , how = "stdio", habit = ""] = process.argv;
/** Packets that are answered before something happens. */
const GOOD = 20;
const machine = new Machine();

function serve(input: Readable, output: Writable, close: () => void): void {
  let told = 0;
  const stub = new ModelStub(
    machine,
    ABLE,
    (bytes) => {
      if ((habit === "hangs" || habit === "babbles") && told > GOOD) return;
      output.write(bytes);
    },
    () => {
      told++;
      if (habit === "closes" && told > GOOD) close();
      if (habit === "babbles" && told === GOOD + 1) babble(output);
    },
  );
  input.on("data", (bytes: Buffer) => {
    stub.receive(bytes);
  });
  // Whoever is left by its client ends, or waits for the next.
  input.on("error", () => undefined);
  output.on("error", () => undefined);
}

function babble(output: Writable): void {
  const bytes = Buffer.alloc(10_000, "z");
  const more = (): void => {
    while (output.write(bytes));
    output.once("drain", more);
  };
  more();
}

if (habit.startsWith("late:")) await setTimeout(Number(habit.slice("late:".length)));
if (how === "stdio") {
  serve(process.stdin, process.stdout, () => {
    process.exit(0);
  });
} else {
  const server = createServer((socket: Socket) => {
    socket.setNoDelay(true);
    serve(socket, socket, () => {
      socket.destroy();
    });
  });
  const announce = (): void => {
    const { port } = server.address() as AddressInfo;
    process.stdout.write(`${String(port)}\n`);
  };
  if (how === "tcp") server.listen(0, "127.0.0.1", announce);
  else server.listen(how.slice("unix:".length), () => process.stdout.write("listening\n"));
}
