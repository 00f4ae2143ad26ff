import { type Address, toBigInt } from "../../src/base/address.js";
import { RegisterFile, type RegisterName } from "../../src/arch/x86_64/registers.js";
import { MemoryFault } from "../../src/base/errors.js";
import { compileHandlers } from "../../src/handlers/js/compile.js";
import type { Scene } from "../../src/handlers/js/scene.js";
import { NO_THREAD } from "../../src/probes/handler-calls.js";
import { Hit } from "../../src/probes/probe.js";
import type { HandlerOutcome } from "../../src/probes/outcome.js";
import { Probe } from "../../src/probes/probe.js";
import { HandlerContext, type SessionServices } from "../../src/runtime/context.js";
import { type LimitName, parseDefinitions } from "../../src/runtime/limits.js";
import { compile, type Compiled, type CompileOptions } from "../../src/script/compile.js";
import type { ProbedCodes } from "../../src/script/probed-code.js";
import { NoTarget } from "../../src/targets/nothing.js";
import type { Memory, ThreadId } from "../../src/targets/target.js";

/** How a script is run; everything has a default. */
export interface RunOptions {
  readonly limits?: Partial<Record<LimitName, number>>;
  readonly globals?: Readonly<Record<string, string>>;
  readonly arguments?: readonly string[];
  readonly library?: CompileOptions["library"];
  readonly strictFaults?: boolean;
  /** Text in the target's memory, by address; everything else faults. Handlers then run for a thread. */
  readonly memory?: Readonly<Record<number, string>>;
  readonly fault?: Hit["fault"];
  readonly codes?: ProbedCodes;
  readonly registers?: Registers;
  /** Registers when the function returns; {@link registers} are then those of its entry. */
  readonly returns?: Registers;
  readonly scene?: Partial<Scene>;
}

export type Registers = Partial<Record<RegisterName, bigint>>;

/** What a run came to. */
export interface Run {
  readonly output: string;
  readonly warnings: readonly string[];
  readonly exited: boolean;
  /** One a handler, in the order of the script. */
  readonly outcomes: readonly HandlerOutcome[];
  readonly probe: Probe;
  readonly hit: Hit;
}

/** Compiles a script under the name `test.stp`. @throws ScriptProblem */
export function compileText(text: string, options: RunOptions = {}): Compiled {
  return compile({
    name: "test.stp",
    text,
    arguments: options.arguments ?? [],
    limits: limitsOf(options),
    globals: new Map(Object.entries(options.globals ?? {})),
    library: options.library ?? [],
    ...(options.codes === undefined ? {} : { codes: options.codes }),
  });
}

/** Runs the handlers of all of a script's probes once, in the order of the script. */
export function run(text: string, options: RunOptions = {}): Run {
  const { program } = compileText(text, options);
  let output = "";
  let exited = false;
  const warnings: string[] = [];
  const services: SessionServices = {
    limits: limitsOf(options),
    strictFaults: options.strictFaults ?? false,
    print: (part) => {
      output += part;
    },
    warn: (message) => warnings.push(message),
    log: (message) => {
      output += `${message}\n`;
    },
    exit: () => {
      exited = true;
    },
  };
  const hit = new Hit(new MemoryTarget(options.memory ?? {}));
  const probe = new Probe(1, { name: "begin" });
  hit.thread = options.memory === undefined ? NO_THREAD : (7 as ThreadId);
  hit.probe = probe;
  hit.fault = options.fault;
  const scene = { ...SCENE, ...options.scene };
  const outcomes = compileHandlers(program, new HandlerContext(services), scene).map((handler) => {
    hit.registers = registersOf(options.registers);
    if (options.returns !== undefined) {
      hit.saved = handler.save?.(hit);
      hit.registers = registersOf(options.returns);
    }
    hit.handlerFaults = 0;
    return handler(hit);
  });
  return { output, warnings, exited, outcomes, probe, hit };
}

/** What the body of one `begin` probe prints. @throws Error where it ends by an error */
export function printed(body: string, options: RunOptions = {}): string {
  const { output, outcomes } = run(`probe begin { ${body} }`, options);
  for (const outcome of outcomes) if (outcome.kind !== "returned") throw new Error(JSON.stringify(outcome));
  return output;
}

/** The value of an expression of numbers. */
export function valueOf(expression: string): bigint {
  return BigInt(printed(`print(${expression})`));
}

/** The message of the problem that a script is refused with. */
export function problemOf(text: string, options: RunOptions = {}): string {
  try {
    compileText(text, options);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error("the script was accepted");
}

/** The message and the place of the script error that ends the only handler. */
export function errorOf(text: string, options: RunOptions = {}): string {
  const [outcome] = run(text, options).outcomes;
  if (outcome?.kind !== "error") throw new Error(`no error: ${outcome?.kind ?? "no handler"}`);
  return `${outcome.message} near ${outcome.where}`;
}

function registersOf(values: Registers = {}): RegisterFile {
  const registers = new RegisterFile();
  for (const [name, value] of Object.entries(values)) registers.write(name as RegisterName, value);
  return registers;
}

function limitsOf(options: RunOptions): SessionServices["limits"] {
  return parseDefinitions(
    Object.entries(options.limits ?? {}).map(([name, value]) => `${name}=${String(value)}`),
  );
}

/** A target that has nothing but some text in its memory. */
class MemoryTarget extends NoTarget {
  private readonly text: Memory;

  constructor(parts: Readonly<Record<number, string>>) {
    super();
    const bytes = new Map<number, number>();
    for (const [start, text] of Object.entries(parts)) {
      Buffer.from(text, "latin1").forEach((byte, index) => bytes.set(Number(start) + index, byte));
    }
    const readSome = (address: Address, into: Uint8Array): number => {
      for (let index = 0; index < into.length; index++) {
        const byte = bytes.get(address + index);
        if (byte === undefined) return index;
        into[index] = byte;
      }
      return into.length;
    };
    const faultAt = (address: Address): MemoryFault => new MemoryFault(toBigInt(address), "read", "unmapped");
    const read = (address: Address, into: Uint8Array): void => {
      const got = readSome(address, into);
      if (got < into.length) throw faultAt((address + got) as Address);
    };
    // Handlers of scripts only read.
    this.text = { read, readSome, faultAt } as Memory;
  }

  override memory(): Memory {
    return this.text;
  }
}

/** What the session would tell. */
export const SCENE: Scene = {
  targetProcess: 42,
  pointName: () => "begin",
  probeAddress: (hit) => BigInt(hit.at),
  functionName: () => "main",
  systemCall: () => undefined,
  variableAddress: () => undefined,
  backtrace: () => undefined,
  symbolAt: () => undefined,
  currentTask: () => undefined,
  clock: () => process.hrtime.bigint(),
  process: (hit) => hit.facts().process,
  thread: (hit) => hit.thread,
  isReturn: () => false,
};
