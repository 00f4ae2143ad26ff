// A program that uses the API, for tests of how such programs end: `owner.js WAY PID`.
import { attach, launch } from "../../src/index.js";

const [way = "", pid = ""] = process.argv.slice(2);
const hoard: unknown[] = [];

if (way === "run") {
  // Neither the target nor the probe is disposed.
  const target = await launch({ command: ["perl", "-e", "getppid() for 1..5"] });
  const probe = await target.registerKprobe({ symbolName: "getppid", module: "libc.so.6" });
  const { kind } = (await target.run()) ?? { kind: "lost" };
  console.log(kind, probe.hits);
} else if (way === "flags") {
  // Nothing of this program's own may touch its standard output before.
  const command = [
    "perl",
    "-pe",
    "",
    ...[1, 2].map((descriptor) => `/proc/self/fdinfo/${String(descriptor)}`),
  ];
  const target = await launch({ command });
  await target.registerKprobe({ symbolName: "read", module: "libc.so.6" });
  await target.run();
} else if (way.startsWith("exit after ")) {
  // While the engine's thread is still on its way.
  const delay = Number(way.split(" ")[2]);
  void attach({ pid: Number(pid) }).then((target) => target.registerKprobe({ symbolName: "the_beat" }));
  setTimeout(() => process.exit(5), delay);
} else await trace();

async function trace(): Promise<void> {
  const target = await attach({ pid: Number(pid), handlerLimit: 60_000 });
  // Decides itself what Ctrl-C means.
  if (way === "listen")
    process.once("SIGINT", () => {
      void target[Symbol.asyncDispose]().then(() => process.exit(6));
    });
  let said = false;
  await target.registerKprobe({
    symbolName: "the_beat",
    preHandler() {
      if (!said) process.stdout.write("hit\n");
      said = true;
      if (way === "exit in a handler") process.exit(5);
      if (way === "hoard in a handler") for (;;) hoard.push(Array.from({ length: 1000 }, (_, i) => ({ i })));
      if (way === "abort in a handler") process.abort();
    },
  });
  await target.registerKprobe({ symbolName: "rest", postHandler: () => undefined });

  switch (way) {
    case "exit":
      setTimeout(() => process.exit(5), 100);
      break;
    case "throw":
      setTimeout(() => {
        throw new Error("nobody catches this");
      }, 100);
      break;
    case "hoard":
      setTimeout(() => {
        for (;;) hoard.push(Array.from({ length: 1000 }, (_, i) => ({ i })));
      }, 100);
      break;
    case "busy": {
      // Disposed, while it is hit all the time.
      setTimeout(() => void target[Symbol.asyncDispose](), 100);
      break;
    }
    default:
  }
}
