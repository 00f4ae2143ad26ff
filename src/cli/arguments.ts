import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../base/errors.js";
import type { SessionOptions } from "../session/options.js";

/** What a command line asks for. */
export type Request =
  | { readonly kind: "session"; readonly options: SessionOptions }
  | { readonly kind: "doctor" }
  /** Help or version was printed. */
  | { readonly kind: "done" };

interface Parsed {
  readonly e?: string[];
  readonly c?: string;
  readonly x?: number;
  readonly o?: string;
  readonly D: ReadonlyMap<string, string>;
  readonly G: ReadonlyMap<string, string>;
  readonly p: 1 | 2 | 3 | 4 | 5;
  readonly v: number;
  readonly w?: boolean;
  readonly l?: string;
  readonly L?: string;
  readonly t?: boolean;
  readonly T?: number;
  readonly suppressHandlerErrors?: boolean;
  readonly strictFaults?: boolean;
  readonly json?: boolean;
}

/** Reads a command line, spelt as stap's. @throws UsageError */
export function parseArguments(words: readonly string[], version: string): Request {
  if (words[0] === "doctor") {
    if (words.length > 1) throw new UsageError(`doctor takes no arguments: '${words[1] ?? ""}'`);
    return { kind: "doctor" };
  }
  const command = makeParser(version);
  try {
    command.parse([...words], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "done" };
    throw new UsageError(
      error.message.replace(/^error: /, "").replace(/\n\(Did you mean (.*)\?\)/, "; did you mean $1?"),
      {
        remedy: "trapline --help lists the options",
      },
    );
  }
  return { kind: "session", options: sessionOptions(command.opts<Parsed>(), command.args) };
}

/** The parser alone, for help texts and for the test that man page and completions know every option. */
function makeParser(version: string): Command {
  return new Command("trapline")
    .usage(
      "[options] SCRIPT-FILE [ARGUMENTS…]\n       trapline [options] -e SCRIPT [ARGUMENTS…]\n       trapline doctor",
    )
    .description("Probes on live Linux programs, every exception contained.")
    .argument(
      "[words...]",
      "script file (- for standard input) unless -e is given, then the script's arguments",
    )
    .version(version, "--version", "print the version")
    .helpOption("--help", "print this help")
    .addOption(new Option("-e <script>", "run this script").argParser(collect))
    .addOption(new Option("-c <command>", "start a command, and end when it ends"))
    .addOption(new Option("-x <pid>", "attach to a process").argParser(positive))
    .addOption(new Option("-o <file>", "write the output to a file"))
    .addOption(
      new Option("-D <name=value>", "set a limit: MAXERRORS, MAXACTION, MAXFAULT, …")
        .argParser(assignment)
        .default(new Map(), "none"),
    )
    .addOption(
      new Option("-G <name=value>", "set a global variable of the script")
        .argParser(assignment)
        .default(new Map(), "none"),
    )
    .addOption(
      new Option("-p <pass>", "stop after a pass, 1 to 5, and print what it made").argParser(pass).default(5),
    )
    .addOption(
      new Option("-v", "say more; -vv more still")
        .argParser((_none, before: number) => before + 1)
        .default(0, "none"),
    )
    .addOption(new Option("-w", "print no warnings"))
    .addOption(new Option("-l <point>", "list the probe points that match"))
    .addOption(new Option("-L <point>", "the same, with their variables where known"))
    .addOption(new Option("-t", "at the end, print counts and handler times of every probe"))
    .addOption(new Option("-T <seconds>", "end after so many seconds").argParser(positive))
    .addOption(new Option("--suppress-handler-errors", "script errors are warnings, however many"))
    .addOption(new Option("--strict-faults", "handler faults that no try catches count as script errors"))
    .addOption(new Option("--json", "one event a line, as JSON"))
    .passThroughOptions()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
}

function sessionOptions(parsed: Parsed, words: readonly string[]): SessionOptions {
  if (parsed.c !== undefined && parsed.x !== undefined)
    throw new UsageError("-c and -x: a session has one target, started or attached to");
  if (parsed.json === true && parsed.t === true)
    throw new UsageError("-t and --json: the JSON output has the counts already");
  const pattern = parsed.l ?? parsed.L;
  const list = pattern === undefined ? undefined : { pattern, variables: parsed.L !== undefined };
  const { script, rest } = scriptOf(parsed, words, list !== undefined);
  return {
    script,
    scriptArguments: rest,
    command: parsed.c,
    pid: parsed.x,
    outputFile: parsed.o,
    definitions: parsed.D,
    globals: parsed.G,
    lastPass: parsed.p,
    verbosity: parsed.v,
    suppressWarnings: parsed.w === true,
    list,
    suppressHandlerErrors: parsed.suppressHandlerErrors === true,
    strictFaults: parsed.strictFaults === true,
    timing: parsed.t === true,
    seconds: parsed.T,
    json: parsed.json === true,
  };
}

function scriptOf(
  parsed: Parsed,
  words: readonly string[],
  lists: boolean,
): { script: SessionOptions["script"]; rest: readonly string[] } {
  if (parsed.e !== undefined) return { script: { name: "<input>", text: parsed.e.join("\n") }, rest: words };
  const [file, ...rest] = words;
  if (file === undefined) {
    if (lists) return { script: { name: "<input>", text: "" }, rest };
    throw new UsageError("a script is needed", { remedy: "name a file, or give one with -e 'probe …'" });
  }
  try {
    return {
      script: { name: file === "-" ? "<stdin>" : file, text: readFileSync(file === "-" ? 0 : file, "utf8") },
      rest,
    };
  } catch (error) {
    if (error instanceof Error && "code" in error)
      throw new UsageError(`cannot read the script ${file}: ${String(error.code)}`, { cause: error });
    throw error;
  }
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0)
    throw new InvalidArgumentError("a positive number is needed.");
  return value;
}

function assignment(text: string, before: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const match = /^([A-Za-z_]\w*)=(.*)$/s.exec(text);
  if (match === null) throw new InvalidArgumentError("NAME=VALUE is needed.");
  return new Map([...before, [match[1] as string, match[2] as string]]);
}

function pass(text: string): 1 | 2 | 3 | 4 | 5 {
  const number = Number(text);
  if (number === 1 || number === 2 || number === 3 || number === 4 || number === 5) return number;
  throw new InvalidArgumentError("a pass is a number from 1 to 5.");
}
