import { withoutDeleted } from "../../base/file-name.js";
import { TargetError } from "../../base/errors.js";
import { GdbClient } from "../../targets/gdb/protocol/client.js";
import { isProgram, PROGRAM_STUB, ProgramTarget } from "../../targets/gdb/program/target.js";
import { DOORBELL } from "../../targets/linux/doorbell-words.js";
import type { OpenSubject } from "../script/subject.js";
import { ProcessSubject } from "./subject.js";
import { ProcessTracee } from "./tracee.js";

/** A program behind a stub, gdbserver's for one: as a process of this machine's, and its files are the stub's. */
export class StubProgramSubject extends ProcessSubject {
  private readonly bell: Int32Array;

  constructor(
    private readonly where: string,
    doorbell: SharedArrayBuffer,
  ) {
    super({ command: undefined, pid: undefined }, doorbell);
    this.bell = new Int32Array(doorbell);
  }

  override get hasTarget(): boolean {
    return true;
  }

  override async open(): Promise<OpenSubject> {
    return Promise.resolve(this.connect());
  }

  private connect(): OpenSubject {
    const client = GdbClient.connect(this.where, PROGRAM_STUB);
    let target: ProgramTarget;
    try {
      if (!isProgram(client))
        throw new TargetError(`${client.name}: what is behind this stub is a machine, not a program`, {
          remedy: "Name the image of its kernel: --kernel IMAGE.",
        });
      const woken = (): boolean => Atomics.exchange(this.bell, DOORBELL.rung, 0) !== 0;
      target = new ProgramTarget(client, { woken });
    } catch (error) {
      client[Symbol.dispose]();
      throw error;
    }
    const tracee = new ProcessTracee(target, this.names);
    const [first] = target.threads();
    if (first === undefined) return { tracee, process: 0, isHeld: false };
    const facts = target.facts(first);
    this.names.target ??= withoutDeleted(facts.executable);
    return { tracee, process: facts.process, isHeld: target.isHeld };
  }
}
