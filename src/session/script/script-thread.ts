import { isatty } from "node:tty";
import { parentPort, workerData } from "node:worker_threads";
import { UsageError } from "../../base/errors.js";
import { emit } from "../../handlers/js/emit.js";
import { openFile } from "../../output/descriptor-writer.js";
import { STANDARD_ERROR, standardError, standardOutput } from "../../output/standard-streams.js";
import { JsonSink } from "../../output/json-sink.js";
import type { Sink } from "../../output/sink.js";
import { warningLine } from "../../output/report.js";
import { TextSink } from "../../output/text-sink.js";
import { parseDefinitions } from "../../runtime/limits.js";
import { compile, type Compiled, type CompileOptions, parseScript } from "../../script/compile.js";
import { DOORBELL } from "../../targets/linux/doorbell-words.js";
import { type SessionOptions, stubOfProgram } from "../options.js";
import { redirectWarnings } from "../thread.js";
import { KernelSubject } from "../kernel/subject.js";
import { StubProgramSubject } from "../process/stub-subject.js";
import { ProcessSubject } from "../process/subject.js";
import { tapset } from "./tapset.js";
import { describeHandlers, describeProgram, describeScript } from "./describe.js";
import { listPoints } from "./list-points.js";
import { counted, PassTimes } from "./pass-times.js";
import { type Problem, problemOf } from "./problems.js";
import { type ResolvedPoint, resolvePoints } from "./resolved-points.js";
import type { GuestMachine, Outside } from "./outside.js";
import { ScriptSession } from "./script-session.js";
import { STOP_WORDS } from "./stop-words.js";
import { codesOf, type Subject } from "./subject.js";

/** What the session's thread is given. */
export interface ScriptThreadData {
  readonly doorbell: SharedArrayBuffer;
  /** {@link STOP_WORDS}. */
  readonly stop: SharedArrayBuffer;
}

/** What the thread is told: first what to do; then, where a lab is asked for, that its machine is up. */
export type ToScriptThread =
  | { readonly kind: "options"; readonly options: SessionOptions }
  | { readonly kind: "machine"; readonly machine: GuestMachine };

/** What the thread tells: that all is armed, and last how it ended. */
export type FromScriptThread =
  | { readonly kind: "armed" }
  | { readonly kind: "ended"; readonly status: number }
  | { readonly kind: "failed"; readonly problem: Problem };

/** The whole session, in its own thread: ptrace binds a target to one, and it must be free to wait. */
async function main(options: SessionOptions, world: Outside): Promise<number> {
  const messages = standardError();
  const say = (line: string): void => {
    messages.writeText(`${line}\n`);
    messages.flush();
  };
  using subject = subjectOf(options, world);
  const output = options.outputFile === undefined ? standardOutput() : openFile(options.outputFile);
  const print = (text: string): number => {
    output.writeText(text);
    output.close();
    return 0;
  };
  const limits = parseDefinitions([...options.definitions].map(([name, value]) => `${name}=${value}`));
  const toCompile = compileOptions(options, limits);
  if (options.list !== undefined) {
    using files = subject.points();
    const lines = listPoints(options.list.pattern, toCompile, subject, files, options.list.variables);
    print(lines.map((line) => `${line}\n`).join(""));
    return lines.length === 0 ? 1 : 0;
  }
  const times = new PassTimes(options.verbosity > 0 ? say : undefined);
  const parsed = parseScript(toCompile);
  times.ended(`Pass 1: parsed user script and ${counted(toCompile.library.length, "library script")}`);
  if (options.lastPass === 1) return print(describeScript(options.script.name, parsed.script));
  if (options.lastPass === 5) await subject.prepare(parsed);
  const compiled = compile({ ...toCompile, ...codesOf(subject, parsed.sources) }, parsed);
  // Events begin with the one that tells their format: there the session says it.
  const asEvents = options.json && options.lastPass === 5;
  if (!asEvents && !options.suppressWarnings)
    for (const warning of compiled.warnings) say(warningLine(warning));
  const resolved = resolve(options, compiled, subject);
  const { program } = compiled;
  const size = `${counted(program.handlers.length, "probe")}, ${counted(program.functions.length, "function")}, ${counted(program.globals.length, "global")}`;
  times.ended(`Pass 2: analyzed script: ${size}`);
  if (options.lastPass === 2) return print(resolved.described);
  if (options.lastPass === 3) return print(emit(program).source + "\n");
  const sink: Sink = options.json
    ? new JsonSink(output, { quiet: options.suppressWarnings })
    : new TextSink({
        output,
        messages,
        table: options.timing,
        quiet: options.suppressWarnings,
        verbose: options.verbosity > 0,
      });
  const { points } = resolved;
  const session = new ScriptSession(options, limits, compiled, points, subject, sink, world, {
    say,
    progress: {
      isTerminal: isatty(STANDARD_ERROR),
      write: (text) => {
        messages.writeText(text);
        messages.flush();
      },
    },
  });
  const handlers = session.compileHandlers();
  times.ended(`Passes 3 and 4: translated to JavaScript and compiled ${counted(handlers.length, "handler")}`);
  if (options.lastPass === 4) return print(resolved.described);
  times.begins("Pass 5: starting run.");
  const status = await session.run(handlers);
  times.ended("Pass 5: run completed");
  return status;
}

/** What the points mean, and the text of `-p2` and `-p4` about it. The files are closed again. */
function resolve(
  options: SessionOptions,
  compiled: Compiled,
  subject: Subject,
): { readonly points: readonly ResolvedPoint[]; readonly described: string } {
  using files = subject.points();
  const { hasTarget } = subject;
  const points = resolvePoints(compiled, files, options.lastPass === 5 ? { hasTarget } : undefined);
  if (options.lastPass === 2) return { points, described: describeProgram(compiled, points, files) };
  if (options.lastPass === 4) return { points, described: describeHandlers(points, files) };
  return { points, described: "" };
}

function outside({ doorbell, stop }: ScriptThreadData, machine: Promise<GuestMachine>): Outside {
  const bell = new Int32Array(doorbell);
  const words = new Int32Array(stop);
  return {
    doorbell,
    stopRequest: () => Atomics.load(words, STOP_WORDS.request),
    commandStatus: () => {
      const status = Atomics.load(words, STOP_WORDS.commandStatus);
      return status === 0 ? undefined : status - 1;
    },
    idle: (until) => {
      Atomics.wait(bell, DOORBELL.rung, 0, Math.max(0, until - performance.now()));
      Atomics.store(bell, DOORBELL.rung, 0);
    },
    machine: async () => machine,
    armed: () => {
      tell({ kind: "armed" });
    },
  };
}

function subjectOf(options: SessionOptions, world: Outside): Subject {
  const { kernel, pid, lastPass, list } = options;
  const stub = stubOfProgram(options);
  if (stub !== undefined) return new StubProgramSubject(stub, world.doorbell);
  if (kernel === undefined) return new ProcessSubject(options, world.doorbell);
  const subject = new KernelSubject(kernel, pid, world);
  if (subject.hasTarget || lastPass < 5 || list !== undefined) return subject;
  subject[Symbol.dispose]();
  throw new UsageError("an image alone cannot be traced: a kernel that runs is needed", {
    remedy: "name one with --gdb WHERE, or boot one with --lab",
  });
}

function compileOptions(options: SessionOptions, limits: CompileOptions["limits"]): CompileOptions {
  return {
    name: options.script.name,
    text: options.script.text,
    arguments: options.scriptArguments,
    limits,
    globals: options.globals,
    library: tapset({
      kernel: options.kernel !== undefined && stubOfProgram(options) === undefined,
      asked: options.script.text,
    }),
  };
}

if (parentPort === null) throw new UsageError("script-thread is started by trapline itself");
const port = parentPort;
redirectWarnings();

function tell(message: FromScriptThread): void {
  port.postMessage(message);
}

const machine = new Promise<GuestMachine>((resolve) => {
  // Everything is loaded by now; what is to be done comes when the command line has been read.
  port.on("message", (message: ToScriptThread) => {
    if (message.kind === "machine") resolve(message.machine);
    else void run(message.options);
  });
});

async function run(options: SessionOptions): Promise<void> {
  try {
    const status = await main(options, outside(workerData as ScriptThreadData, machine));
    tell({ kind: "ended", status });
  } catch (error) {
    tell({ kind: "failed", problem: problemOf(error) });
  } finally {
    port.close();
  }
}
