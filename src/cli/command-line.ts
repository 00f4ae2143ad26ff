import { Command, CommanderError, Option } from "commander";
import { closest } from "../base/closest.js";
import { UsageError } from "../base/errors.js";
import type { SessionOptions } from "../session/options.js";
import { FOREIGN_OPTIONS, OPTION_GROUPS, SPELLINGS } from "./option-table.js";

type Pass = SessionOptions["lastPass"];

/** What a command line asks for. */
export type Request =
  /** Print a text on standard output, exit status 0. */
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "doctor" }
  /** Take out what a killed session left in a kernel. */
  | { readonly kind: "clean"; readonly gdb: string; readonly image: string }
  | {
      readonly kind: "session";
      readonly source: ScriptSource;
      readonly options: Omit<SessionOptions, "script">;
    };

/** Where the script comes from. `none`: a listing needs no script. */
export type ScriptSource =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "standard-input" }
  | { readonly kind: "none" };

/** What the parser hands over, by the letters of the options. */
interface Parsed {
  readonly e?: string;
  readonly c?: string;
  readonly x?: number;
  readonly lab?: true;
  readonly gdb?: string;
  readonly kernel?: string;
  readonly smp?: number;
  readonly module?: readonly string[];
  readonly keep?: true;
  readonly clean?: true;
  readonly o?: string;
  readonly D?: ReadonlyMap<string, string>;
  readonly G?: ReadonlyMap<string, string>;
  readonly p?: Pass;
  readonly v?: number;
  readonly w?: true;
  readonly l?: string;
  readonly L?: string;
  readonly t?: true;
  readonly T?: number;
  readonly suppressHandlerErrors?: true;
  readonly strictFaults?: true;
  readonly json?: true;
}

/**
 * Reads a command line as SystemTap's `stap` reads its own: options may stand before and after the
 * script, `--` ends them.
 *
 * @param words   without the interpreter and the program
 * @param version what `--version` prints behind the name
 * @throws UsageError in one line: what is wrong, and the nearest right word
 */
export function parseCommandLine(words: readonly string[], version: string): Request {
  if (words[0] === "doctor") return parseDoctor(words.slice(1), version);

  let printed = "";
  const command = sessionCommand(version).configureOutput({
    writeOut: (text) => (printed += text),
    writeErr: () => undefined, // The same sentence comes as an exception, and is worded there.
  });
  try {
    command.parse([...words], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "print", text: printed };
    throw usageErrorOf(error);
  }
  return sessionRequest(command.opts<Parsed>(), command.args);
}

function parseDoctor(words: readonly string[], version: string): Request {
  const [first] = words;
  if (first === undefined) return { kind: "doctor" };
  if (words.length === 1 && ["-h", "--help", "-V", "--version"].includes(first))
    return parseCommandLine(words, version);
  throw new UsageError(
    `trapline doctor takes no arguments, but '${first}' was given; a script file of that name is ./doctor`,
  );
}

const HEAD =
  "Probe a running Linux program or kernel; contain every exception, in a handler or in the probed instruction.";

const TAIL = `
Commands:
  doctor                     say what this machine allows, and what to do where
                             it does not

A script '-' is read from standard input. What stands behind the script is $1,
@1, … in it; an argument that begins with '-' goes behind '--'. A script file
may begin with '#!/usr/bin/env -S trapline'. For more: man trapline.

Exit status: 0; 1 the script or its session failed; 2 the command line or the
target cannot be used.

Examples:
  trapline -e 'probe process.function("main") { println(pp()) }' -c 'perl -e 1'
  trapline count.stp -x 4711 -T 10 -t
  trapline -l 'process("perl").function("Perl_pp_s*")'
  trapline --lab -e 'probe kernel.function("vfs_read") { println(pid()) }' -c ls`;

function sessionCommand(version: string): Command {
  const command = new Command("trapline")
    .usage("[options] [script] [argument …]\n       trapline doctor")
    .description(HEAD)
    .argument("[words...]")
    .configureHelp({ visibleArguments: () => [] })
    .helpOption(false)
    .addHelpText("after", TAIL)
    .exitOverride();
  for (const group of OPTION_GROUPS) {
    for (const { flags, description } of group.options) {
      if (flags === "-h, --help") {
        command.addHelpOption(new Option(flags, description).helpGroup(group.heading));
      } else if (flags === "-V, --version") {
        command.version(`trapline ${version}`, flags, description);
      } else {
        const option = new Option(flags, description);
        const read = VALUE_READERS[flags];
        // What a reader is given as `previous` is what it returned itself, so the table need not say it twice.
        if (read !== undefined) option.argParser(read as (value: string, previous: unknown) => unknown);
        command.addOption(option);
      }
      command.options.find((option) => option.flags === flags)?.helpGroup(group.heading);
    }
  }
  return command;
}

type ValueReader = (value: string, previous: never) => unknown;

/** How the value of an option is read; an option not here gives its text, or true. */
const VALUE_READERS: Readonly<Record<string, ValueReader>> = {
  "-e <script>": once("-e", "there is one script; several probes may stand in it"),
  "-c <command>": once("-c", "a session has one target"),
  "-l <probe>": once("-l", "several points may stand in one, with commas"),
  "-L <probe>": once("-L", "several points may stand in one, with commas"),
  "-x <pid>": (value: string, previous: number | undefined): number => {
    const pid = /^[1-9][0-9]*$/.test(value) ? Number(value) : NaN;
    if (!(pid <= 0x7fff_ffff)) throw new UsageError(`-x takes a process id, not '${value}'`);
    if (previous !== undefined && previous !== pid) {
      throw new UsageError(`-x is given twice, with ${previous} and ${pid}: a session has one target`);
    }
    return pid;
  },
  "--gdb <where>": once("--gdb", "a session has one target"),
  "--kernel <image>": once("--kernel", "a session has one target"),
  "--smp <number>": (value: string): number => {
    const processors = /^[1-9][0-9]{0,2}$/.test(value) ? Number(value) : NaN;
    if (!(processors <= MOST_PROCESSORS)) {
      throw new UsageError(`--smp takes a number of processors from 1 to ${MOST_PROCESSORS}, not '${value}'`);
    }
    return processors;
  },
  "--module <name>": (value: string, previous: readonly string[] | undefined): readonly string[] => {
    if (!/^[A-Za-z0-9_-]+$/.test(value))
      throw new UsageError(`--module takes a module's name, not '${value}'`);
    return [...(previous ?? []), value];
  },
  "-p <pass>": (value: string): Pass => {
    const pass = ([1, 2, 3, 4, 5] as const).find((number) => String(number) === value);
    if (pass === undefined) throw new UsageError(`-p takes a pass from 1 to 5, not '${value}'`);
    return pass;
  },
  "-T <seconds>": (value: string): number => {
    const seconds = /^([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(value) ? Number(value) : NaN;
    if (!(seconds > 0 && seconds <= LONGEST_SECONDS)) {
      throw new UsageError(`-T takes seconds, above 0 and at most ${LONGEST_SECONDS}, not '${value}'`);
    }
    return seconds;
  },
  "-D <name=value>": (value: string, previous: ReadonlyMap<string, string> | undefined) => {
    const [, name, setting] = /^([A-Za-z_][A-Za-z_0-9]*)(?:=(.*))?$/s.exec(value) ?? [];
    if (name === undefined) throw new UsageError(`-D takes NAME=VALUE, such as MAXERRORS=10, not '${value}'`);
    return new Map(previous).set(name, setting ?? "");
  },
  "-G <variable=value>": (value: string, previous: ReadonlyMap<string, string> | undefined) => {
    const [, name, setting] = /^([A-Za-z_$][A-Za-z_$0-9]*)=(.*)$/s.exec(value) ?? [];
    if (name === undefined || setting === undefined) {
      throw new UsageError(`-G takes VARIABLE=VALUE, the variable a global of the script, not '${value}'`);
    }
    return new Map(previous).set(name, setting);
  },
  "-v": (_value: string, previous: number | undefined): number => (previous ?? 0) + 1,
};

/** What QEMU's machine can have. */
const MOST_PROCESSORS = 255;

/** A timer takes at most 2^31 - 1 milliseconds. */
const LONGEST_SECONDS = 2_147_483;

function once(spelling: string, reason: string): ValueReader {
  return (value: string, previous: string | undefined): string => {
    if (previous !== undefined) throw new UsageError(`${spelling} is given twice: ${reason}`);
    return value;
  };
}

function sessionRequest(parsed: Parsed, operands: readonly string[]): Request {
  refuseContradictions(parsed);
  refuseKernelContradictions(parsed, operands);
  if (parsed.clean === true && parsed.gdb !== undefined && parsed.kernel !== undefined)
    return { kind: "clean", gdb: parsed.gdb, image: parsed.kernel };
  const listed = parsed.l ?? parsed.L;
  const withoutFile = parsed.e !== undefined || listed !== undefined;
  return {
    kind: "session",
    source: sourceOf(parsed, operands[0]),
    options: {
      scriptArguments: operands.slice(withoutFile ? 0 : 1),
      command: parsed.c,
      pid: parsed.x,
      kernel: kernelOf(parsed),
      outputFile: parsed.o,
      definitions: parsed.D ?? new Map<string, string>(),
      globals: parsed.G ?? new Map<string, string>(),
      lastPass: listed === undefined ? (parsed.p ?? 5) : 2,
      verbosity: parsed.v ?? 0,
      suppressWarnings: parsed.w ?? false,
      list: listed === undefined ? undefined : { pattern: listed, variables: parsed.L !== undefined },
      suppressHandlerErrors: parsed.suppressHandlerErrors ?? false,
      strictFaults: parsed.strictFaults ?? false,
      timing: parsed.t ?? false,
      seconds: parsed.T,
      json: parsed.json ?? false,
    },
  };
}

function kernelOf({ gdb, lab, kernel, smp, keep, module }: Parsed): SessionOptions["kernel"] {
  if (gdb === undefined && lab === undefined && kernel === undefined) return undefined;
  return {
    gdb,
    image: kernel,
    lab: lab === undefined ? undefined : { smp: smp ?? 1, keep: keep ?? false, modules: module ?? [] },
  };
}

function sourceOf(parsed: Parsed, first: string | undefined): ScriptSource {
  if (parsed.e !== undefined) return { kind: "text", text: parsed.e };
  if (parsed.l !== undefined || parsed.L !== undefined) return { kind: "none" };
  if (first === undefined)
    throw new UsageError("no script is given: name a file, '-' for standard input, or use -e");
  return first === "-" ? { kind: "standard-input" } : { kind: "file", path: first };
}

function refuseContradictions(parsed: Parsed): void {
  if (parsed.c !== undefined && parsed.x !== undefined) {
    throw new UsageError("-c and -x contradict each other: a session launches its target or attaches to one");
  }
  if (parsed.l !== undefined && parsed.L !== undefined) {
    throw new UsageError("-l and -L contradict each other: -L lists what -l lists, and the variables");
  }
  if (parsed.t === true && parsed.json === true) {
    throw new UsageError("-t and --json contradict each other: the JSON output has the counts already");
  }
  const list = parsed.l !== undefined ? "-l" : "-L";
  if (parsed.l !== undefined || parsed.L !== undefined) {
    if (parsed.e !== undefined)
      throw new UsageError(`${list} and -e contradict each other: a listing runs no script`);
    if (parsed.p !== undefined && parsed.p !== 2) {
      throw new UsageError(`${list} and -p ${parsed.p} contradict each other: a listing ends after pass 2`);
    }
  }
  if (parsed.suppressHandlerErrors === true && parsed.strictFaults === true) {
    throw new UsageError(
      "--suppress-handler-errors and --strict-faults contradict each other: one hides what the other counts",
    );
  }
}

/** What options about kernels need of each other, or exclude. */
function refuseKernelContradictions(parsed: Parsed, operands: readonly string[]): void {
  const targets = [
    ["--lab", parsed.lab],
    ["--gdb", parsed.gdb],
    ["-x", parsed.x],
  ].flatMap(([spelling, value]) => (value === undefined ? [] : [String(spelling)]));
  if (targets.length > 1)
    throw new UsageError(`${targets.join(" and ")} contradict each other: a session has one target`);
  if (parsed.gdb !== undefined && parsed.c !== undefined) {
    throw new UsageError(
      "-c and --gdb contradict each other: what is behind a stub runs already; --lab -c runs a command in a guest",
    );
  }
  const ofLab = Object.entries({ "--smp": parsed.smp, "--module": parsed.module, "--keep": parsed.keep });
  for (const [spelling, value] of ofLab)
    if (value !== undefined && parsed.lab === undefined)
      throw new UsageError(`${spelling} is about the machine of --lab, which is not given`);
  if (parsed.clean === true) refuseUncleanable(parsed, operands);
  else if (
    parsed.kernel !== undefined &&
    parsed.lab === undefined &&
    parsed.gdb === undefined &&
    runs(parsed)
  )
    throw new UsageError("--kernel names an image: boot it with --lab, or say with --gdb where it runs");
}

function refuseUncleanable(parsed: Parsed, operands: readonly string[]): void {
  if (parsed.gdb === undefined || parsed.kernel === undefined)
    throw new UsageError("--clean needs --gdb, where the kernel is, and --kernel, what its text should be");
  const script =
    parsed.e !== undefined || operands.length > 0 || parsed.l !== undefined || parsed.L !== undefined;
  if (script)
    throw new UsageError("--clean and a script contradict each other: it takes out breakpoints, and ends");
}

/** Is anything run, and not only listed or translated? */
function runs({ l, L, p }: Parsed): boolean {
  return l === undefined && L === undefined && (p ?? 5) === 5;
}

/** The parser's own complaint, in our words. */
function usageErrorOf(error: CommanderError): UsageError {
  const quoted = /'([^']*)'/s.exec(error.message)?.[1];
  if (error.code === "commander.unknownOption" && quoted !== undefined) return unknownOption(quoted);
  if (error.code === "commander.optionMissingArgument" && quoted !== undefined) {
    return new UsageError(`${quoted.split(" ")[0] ?? quoted} needs a value: ${quoted}`);
  }
  const [line] = error.message.replace(/^error: /, "").split("\n");
  return new UsageError(line ?? error.message);
}

function unknownOption(typed: string): UsageError {
  const [spelling = typed] = typed.split("=");
  if (spelling !== typed && SPELLINGS.includes(spelling))
    return new UsageError(`${spelling} takes no value, but '${typed}' gives one`);
  const foreign = FOREIGN_OPTIONS[typed.slice(0, 2)];
  if (foreign !== undefined && !typed.startsWith("--")) {
    return new UsageError(`SystemTap's option ${typed.slice(0, 2)} has no meaning here: ${foreign}`);
  }
  const long = SPELLINGS.filter((known) => known.startsWith("--"));
  const word = spelling.replace(/^-*/, "--");
  const begun = long.filter((known) => known.startsWith(word));
  const near = begun.length === 1 && word.length > SHORTEST_WORD ? begun[0] : closest(word, long);
  if (near !== undefined && spelling !== near) {
    return new UsageError(`unknown option '${typed}'; did you mean ${near}?`);
  }
  const [letter] = spelling.replace(/^-+/, "");
  const otherCase = letter === letter?.toLowerCase() ? letter?.toUpperCase() : letter?.toLowerCase();
  if (spelling.length === 2 && otherCase !== undefined && SPELLINGS.includes(`-${otherCase}`)) {
    return new UsageError(`unknown option '${typed}'; did you mean -${otherCase}?`);
  }
  return new UsageError(`unknown option '${typed}'; what the script is to read goes behind '--'`);
}

/** `--` and a letter: the beginning of too many words to be a hint. */
const SHORTEST_WORD = 3;
