// A tracer in a process of its own: it can have other privileges than the tests, and be killed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { attach, type ExitStatus, launch, type TracedTarget } from "../../src/index.js";
import { PATIENT } from "../api/aside.js";

/** What the tracer is to do. */
export interface AsideRequest {
  readonly attach?: number;
  /** Words for a shell. */
  readonly launch?: readonly string[];
  /** Functions that get a probe with a post-handler, which needs a slot. */
  readonly symbols: readonly string[];
  /** Without that post-handler. */
  readonly plain?: boolean;
}

/** What it said at its end. */
export interface AsideResult {
  readonly warnings: readonly string[];
  readonly status: ExitStatus | null;
  readonly probes: readonly { hits: number; completed: number; disarmedBecause: string | null }[];
}

export interface AsideTracer {
  readonly pid: number;
  /** It has put its probes in, and the target goes. */
  readonly armed: Promise<void>;
  readonly result: Promise<AsideResult>;
  /** Asks it to leave the target. */
  leave(): void;
}

/** Root that may do everything but what it takes to read filters and to suspend them. */
export const WITHOUT_SYS_ADMIN = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all"] as const;

/** @param wrapper a command that executes the rest of its words, e.g. with less privileges */
export function traceAside(request: AsideRequest, wrapper: readonly string[] = []): AsideTracer {
  const words = [...wrapper, process.execPath, fileURLToPath(import.meta.url), JSON.stringify(request)];
  const [command = "", ...rest] = words;
  const child = spawn(command, rest, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface(child.stdout);
  const all: string[] = [];
  lines.on("line", (line) => all.push(line));
  const closed = once(lines, "close");
  const failed = closed.then(() => Promise.reject(new Error(`the tracer ended: ${all.join("\n")}`)));
  failed.catch(() => undefined);
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot run ${command}`);
  const armed = Promise.race([
    once(lines, "line").then(([line]) => {
      if (line !== "armed") throw new Error(`the tracer said: ${String(line)}`);
    }),
    failed,
  ]);
  const result = closed.then(() => JSON.parse(all.at(-1) ?? "") as AsideResult);
  // Whoever kills it asks for neither.
  for (const promise of [armed, result]) promise.catch(() => undefined);
  return {
    pid,
    armed,
    result,
    leave: () => {
      child.stdin.end();
    },
  };
}

async function main(request: AsideRequest): Promise<void> {
  const options = { write: () => undefined, ...PATIENT };
  await using target: TracedTarget =
    request.attach === undefined
      ? await launch({ ...options, command: request.launch ?? [] })
      : await attach({ ...options, pid: request.attach });
  const probes = [];
  for (const symbolName of request.symbols)
    probes.push(
      await target.registerKprobe({
        symbolName,
        preHandler: () => undefined,
        ...(request.plain === true ? {} : { postHandler: () => undefined }),
      }),
    );
  console.log("armed");
  const left = once(process.stdin.resume(), "close").then(() => undefined);
  const status = await Promise.race([target.run(), left]);
  await target[Symbol.asyncDispose]();
  const result: AsideResult = {
    warnings: target.warnings,
    status: status ?? null,
    probes: probes.map(({ hits, completed, disarmedBecause }) => ({
      hits,
      completed,
      disarmedBecause: disarmedBecause ?? null,
    })),
  };
  console.log(JSON.stringify(result));
  process.exit(0);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main(JSON.parse(process.argv[2] ?? "") as AsideRequest);
