import { withoutDeleted } from "../../base/file-name.js";
import type { OpenSubject } from "../script/subject.js";
import { openStubProgram } from "./stub-program.js";
import { ProcessSubject } from "./subject.js";
import { ProcessTracee } from "./tracee.js";

/** A program behind a stub, gdbserver's for one: as a process of this machine's, and its files are the stub's. */
export class StubProgramSubject extends ProcessSubject {
  constructor(
    private readonly where: string,
    doorbell: SharedArrayBuffer,
  ) {
    super({ command: undefined, pid: undefined }, doorbell);
  }

  override get hasTarget(): boolean {
    return true;
  }

  override async open(): Promise<OpenSubject> {
    return Promise.resolve(this.connect());
  }

  private connect(): OpenSubject {
    const target = openStubProgram(this.where, this.doorbell);
    const tracee = new ProcessTracee(target, this.names);
    const [first] = target.threads();
    if (first === undefined) return { tracee, process: 0, isHeld: false };
    const facts = target.facts(first);
    this.names.target ??= withoutDeleted(facts.executable);
    return { tracee, process: facts.process, isHeld: target.isHeld };
  }
}
