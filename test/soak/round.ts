import fc from "fast-check";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonEvent } from "../../src/output/json-sink.js";
import { ElfImage } from "../../src/symbols/elf/image.js";
import { resolveProgram } from "../../src/symbols/programs.js";
import { bare, probed, type Run } from "../transparency/session.js";
import { type Material, makeMaterial } from "../transparency/material.js";
import { instructionsIn } from "./instructions.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const LIBC = "libc.so.6";
const PATIENCE_MS = 300_000;
/** A round that hits more often leaves its program in the middle, which must not matter to it either. */
const MOST_HITS = 60_000;

/** Ten programs that every Debian has, each with something to do. */
const COMMANDS: Readonly<Record<string, (given: Material) => readonly string[]>> = {
  ls: ({ tree }) => ["ls", "-lR", tree],
  sort: ({ lines }) => ["sort", lines],
  bash: ({ pipes }) => ["bash", pipes],
  perl: ({ words }) => ["perl", words],
  tar: ({ tree }) => ["tar", "-C", join(tree, ".."), "--sort=name", "--mtime=@0", "-czf", "-", "tree"],
  sed: ({ lines }) => ["sed", "y/123/abc/", lines],
  grep: ({ tree }) => ["grep", "-rc", "79.*e$", tree],
  find: ({ tree }) => ["find", tree, "-name", "*-1*", "-size", "+1"],
  sha256sum: ({ lines }) => ["sha256sum", lines],
  diff: ({ lines, pipes }) => ["diff", "-u", lines, pipes],
};

/** Everything that a seed decides. */
interface Plan {
  readonly program: string;
  readonly phases: string;
  /** Instructions, each from the functions that the program executes, or from all there are. */
  readonly choices: readonly { readonly known: boolean; readonly inLibc: boolean; readonly index: number }[];
}

const PLANS = fc.record<Plan>({
  program: fc.constantFrom(...Object.keys(COMMANDS)),
  phases: fc.constantFrom("pre", "post", "fault", "pre, post", "pre, post, fault"),
  choices: fc.array(
    fc.record({
      known: fc.oneof(
        { weight: 4, arbitrary: fc.constant(true) },
        { weight: 1, arbitrary: fc.constant(false) },
      ),
      inLibc: fc.boolean(),
      index: fc.nat(2 ** 30),
    }),
    { minLength: 20, maxLength: 300, size: "max" },
  ),
});

export interface Played {
  readonly program: string;
  readonly phases: string;
  readonly armed: number;
  readonly refused: number;
  readonly hits: number;
  /** The session left its program before that ended. */
  readonly left: boolean;
}

/** A program's two texts, and the instructions in them. */
interface Text {
  readonly own: Instructions;
  readonly libc: Instructions;
}

interface Instructions {
  readonly executed: readonly number[];
  readonly all: readonly number[];
}

/** Plays rounds, each made by its seed alone: random probes on a program, which must not notice. */
export class Rounds implements Disposable {
  private readonly folder = mkdtempSync(join(tmpdir(), "trapline-soak-"));
  private readonly material = makeMaterial(this.folder, 2_000);
  private readonly texts = new Map<string, Text>();
  private readonly alone = new Map<string, Run>();

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** @throws Error the program noticed, or the session failed; the message tells all but the seed */
  play(seed: number): Played {
    const [plan] = fc.sample(PLANS, { seed, numRuns: 1 });
    if (plan === undefined) throw new Error("there is no plan");
    const { program, phases, choices } = plan;
    const command = this.commandOf(program);
    const text = this.textOf(program, command);
    const points = new Set(
      choices.map(({ known, inLibc, index }) => {
        const { executed, all } = inLibc ? text.libc : text.own;
        const from = known && executed.length > 0 ? executed : all;
        const at = `statement(0x${(from[index % from.length] ?? 0).toString(16)})?`;
        return inLibc ? `process("${program}").library("${LIBC}").${at}` : `process("${program}").${at}`;
      }),
    );
    const script = `global n probe ${phases} ${[...points].join(", ")} { if (++n == ${String(MOST_HITS)}) exit() }`;
    const run = this.session(script, command);
    const told = `${program}, ${phases}, ${String(points.size)} places`;
    const bareRun = this.bareRun(program, command);
    if (!run.output.equals(bareRun.output)) throw new Error(`${told}: the output differs`);
    if (run.errors !== bareRun.errors) throw new Error(`${told}: on standard error: ${run.errors}`);
    if (run.ending !== undefined && run.ending !== bareRun.ending)
      throw new Error(`${told}: it ended with ${run.ending} in place of ${bareRun.ending}`);
    const { armed, refused, hits } = run;
    return { program, phases, armed, refused, hits, left: run.ending === undefined };
  }

  private commandOf(program: string): readonly string[] {
    const command = COMMANDS[program];
    if (command === undefined) throw new Error(`no program ${program}`);
    return command(this.material);
  }

  private bareRun(program: string, command: readonly string[]): Run {
    const run = this.alone.get(program) ?? bare(command);
    this.alone.set(program, run);
    return run;
  }

  private session(script: string, command: readonly string[]) {
    const report = join(this.folder, "report.json");
    const words = ["--json", "-w", "-o", report, "-e", script, "-c", command.join(" ")];
    const done = spawnSync(process.execPath, [join(ROOT, "dist/cli/main.js"), ...words], {
      maxBuffer: 2 ** 28,
      timeout: PATIENCE_MS,
    });
    const errors = done.stderr.toString();
    if (done.error !== undefined)
      throw new Error(`the session came to no end: ${done.error.message}; ${errors}`);
    const events = readFileSync(report, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as JsonEvent);
    const end = events.find((event) => event.kind === "end");
    if (done.status !== 0 || end?.kind !== "end") throw new Error(`the session failed: ${errors}`);
    const probes = events.flatMap((event) => (event.kind === "probe" ? [event] : []));
    const places = probes.flatMap((probe) => (probe.places === undefined ? [] : [probe.places]));
    return {
      output: done.stdout,
      errors,
      ending:
        end.target === null
          ? undefined
          : end.target.kind === "exited"
            ? `exit ${String(end.target.status)}`
            : end.target.signal,
      hits: probes.reduce((sum, probe) => sum + probe.hits, 0),
      armed: places.reduce((sum, each) => sum + each.armed, 0),
      refused: places.flatMap((each) => Object.values(each.refused)).reduce((sum, count) => sum + count, 0),
    };
  }

  private textOf(program: string, command: readonly string[]): Text {
    const known = this.texts.get(program);
    if (known !== undefined) return known;
    const script = `global executed
      probe process("${program}").library("${LIBC}").function("*") { executed[probefunc()] = 1 }
      probe end { foreach (name in executed) printf("%s\\n", name) }`;
    const executed = new Set(probed(script, command).printed.split("\n"));
    const path = resolveProgram(program, process.env["PATH"]);
    using main = ElfImage.open(path);
    using library = ElfImage.open(libcOf(path));
    const starts = library
      .functions("*")
      .flatMap((found) => (found.kind === "function" && executed.has(found.name) ? [found.vaddr] : []));
    const text: Text = {
      // Most programs are stripped: which of their functions are executed, their names do not tell.
      own: { executed: [], all: instructionsIn(main) },
      libc: { executed: instructionsIn(library, new Set(starts)), all: instructionsIn(library) },
    };
    this.texts.set(program, text);
    return text;
  }
}

/** The C library that a program is linked with, as the dynamic linker finds it. */
function libcOf(program: string): string {
  const listed = spawnSync("ldd", [program], { encoding: "utf8" }).stdout;
  const path = /libc\.so\.6 => (\S+)/.exec(listed)?.[1];
  if (path === undefined) throw new Error(`${program} is not linked with ${LIBC}`);
  return realpathSync(path);
}
