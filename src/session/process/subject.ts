import { readlinkSync, statSync } from "node:fs";
import { UsageError } from "../../base/errors.js";
import { resolveProgram } from "../../symbols/programs.js";
import { LinuxTarget } from "../../targets/linux/target.js";
import { NoTarget } from "../../targets/nothing.js";
import { withoutDeleted } from "../../base/file-name.js";
import type { SessionOptions } from "../options.js";
import type { ProgramNames } from "../program-names.js";
import { commandWords } from "../script/command.js";
import type { KnownPoints } from "../script/known-points.js";
import type { OpenSubject, Subject } from "../script/subject.js";
import { StaticPoints } from "./listing.js";
import { ProcessTracee } from "./tracee.js";

/** Programs: the one of `-c` or `-x` with its children, or none. */
export class ProcessSubject implements Subject {
  protected readonly names: ProgramNames;

  constructor(
    private readonly options: Pick<SessionOptions, "command" | "pid">,
    protected readonly doorbell: SharedArrayBuffer,
    names?: ProgramNames,
  ) {
    this.names = names ?? programNames(options);
  }

  [Symbol.dispose](): void {
    // Files are closed by those who opened them.
  }

  get hasTarget(): boolean {
    return this.options.command !== undefined || this.options.pid !== undefined;
  }

  points(): KnownPoints {
    return new StaticPoints(this.names);
  }

  codes(): undefined {
    return undefined;
  }

  async prepare(): Promise<void> {
    // Files tell all that is known of programs.
  }

  async open(notice: (text: string) => void): Promise<OpenSubject> {
    return Promise.resolve(this.openNow(notice));
  }

  private openNow(notice: (text: string) => void): OpenSubject {
    const target = this.openTarget(notice);
    const [first] = target.threads();
    const tracee = new ProcessTracee(target, this.names);
    const isHeld = this.options.command !== undefined;
    if (first === undefined) return { tracee, process: 0, isHeld };
    const facts = target.facts(first);
    this.names.target ??= withoutDeleted(facts.executable);
    return { tracee, process: facts.process, isHeld };
  }

  private openTarget(onNotice: (text: string) => void): LinuxTarget | NoTarget {
    const { command, pid } = this.options;
    const options = { doorbell: this.doorbell, ownsProcess: true, onNotice };
    if (pid !== undefined) return LinuxTarget.attach(pid, options);
    if (command === undefined) return new NoTarget();
    const words = commandWords(command);
    if (words.length === 0) throw new UsageError("-c: the command is empty");
    return LinuxTarget.launch(words, options);
  }
}

function programNames({ command, pid }: Pick<SessionOptions, "command" | "pid">): ProgramNames {
  const resolved = new Map<string, string>();
  const resolve = (path: string): string => {
    let found = resolved.get(path);
    if (found === undefined) {
      found = resolveProgram(path, process.env["PATH"]);
      resolved.set(path, found);
    }
    return found;
  };
  const [program] = command === undefined ? [] : commandWords(command);
  const target = program === undefined ? programOfProcess(pid) : resolve(program);
  return { target, resolve };
}

/** What a process runs, if that can be read by its path; else only the running target tells. */
function programOfProcess(pid: number | undefined): string | undefined {
  if (pid === undefined) return undefined;
  const link = `/proc/${String(pid)}/exe`;
  try {
    const path = readlinkSync(link);
    const [byPath, running] = [statSync(path), statSync(link)];
    // Another root, or a file that was replaced: what stands at the path is another program.
    return byPath.dev === running.dev && byPath.ino === running.ino ? path : undefined;
  } catch (error) {
    // No such process, or not ours to look at: attaching will say it, and better.
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
