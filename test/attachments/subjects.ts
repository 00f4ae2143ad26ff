// Programs that are attached to and let go again and again, and that tell whether anything went wrong with them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { startAside, startSteady, startThreads } from "../api/aside.js";
import { target } from "../support/programs.js";

export interface Subject {
  readonly name: string;
  /** Commands that must be there. */
  readonly needs: readonly string[];
  /** Called often, by several threads where there are some. */
  readonly functionName: string;
  start(): Promise<Running>;
}

export interface Running {
  readonly pid: number;
  /** What it did so far without fault, in its own unit. */
  readonly done: () => string;
  /** Ends it. @returns what went wrong; empty: nothing */
  end(): Promise<string>;
}

/** Threads of never-interrupted.c, one for each. */
const WAYS_TO_WAIT = 13;

export const SUBJECTS: readonly Subject[] = [
  {
    name: "64 threads",
    needs: ["gcc"],
    functionName: "the_beat",
    start: async () => aside(await startSteady(64), "every beat was right"),
  },
  {
    name: "waits that a signal would end",
    needs: ["gcc"],
    functionName: "waited",
    start: async () =>
      aside(await startThreads(WAYS_TO_WAIT, target("never-interrupted")), "never interrupted"),
  },
  {
    name: "redis under load",
    needs: ["redis-server", "redis-benchmark"],
    functionName: "processCommand",
    start: startRedis,
  },
];

function aside(program: Awaited<ReturnType<typeof startAside>>, right: string): Running {
  return {
    pid: program.pid,
    done: () => "its own checks",
    end: async () => {
      const { output, status } = await program.end();
      return output === right && status === 7
        ? ""
        : `it said ${JSON.stringify(output)}, status ${String(status)}`;
    },
  };
}

/** A server on a socket in a folder, a client of ours that looks at each reply, and redis-benchmark without end. */
async function startRedis(): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), "trapline-redis-"));
  const socket = join(folder, "socket");
  const server = await startAside(
    "redis-server",
    "--unixsocket",
    socket,
    "--port",
    "0",
    "--save",
    "",
    "--dir",
    folder,
  );
  const client = await connected(socket);
  const load = spawn("redis-benchmark", ["-s", socket, "-l", "-q", "-c", "10", "-t", "set,get,incr,hset"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaints = "";
  load.stderr.on("data", (data: Buffer) => {
    complaints += data.toString("latin1");
  });
  let replies = 0;
  let wrong = "";
  const over = new AbortController();
  const loop = (async (): Promise<void> => {
    while (!over.signal.aborted) {
      client.write("*2\r\n$4\r\nINCR\r\n$7\r\ncounter\r\n");
      const reply = await nextLine(client);
      replies++;
      if (reply !== `:${String(replies)}` && wrong === "") wrong = `reply ${String(replies)} was ${reply}`;
      await setTimeout(1);
    }
  })();
  return {
    pid: server.pid,
    done: () => `${replies.toLocaleString("en")} requests of ours answered`,
    end: async () => {
      over.abort();
      await loop;
      client.destroy();
      const benchmarkRan = load.exitCode === null;
      load.kill("SIGKILL");
      if (load.signalCode === null && load.exitCode === null) await once(load, "exit");
      const { status } = await server.end();
      rmSync(folder, { recursive: true, force: true });
      if (!benchmarkRan) return `redis-benchmark ended: ${complaints}`;
      return wrong !== "" ? wrong : status === 0 ? "" : `the server ended with status ${String(status)}`;
    },
  };
}

async function connected(socket: string): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    const client = connect(socket);
    try {
      await once(client, "connect");
      return client;
    } catch (error) {
      if (attempt === 200) throw error;
      await setTimeout(50);
    }
  }
}

async function nextLine(client: Socket): Promise<string> {
  let text = "";
  while (!text.endsWith("\r\n")) {
    const [data] = (await once(client, "data")) as [Buffer];
    text += data.toString("latin1");
  }
  return text.trimEnd();
}
