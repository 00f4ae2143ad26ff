import { TargetError } from "../../base/errors.js";
import { GdbClient } from "../../targets/gdb/protocol/client.js";
import { isProgram, PROGRAM_STUB, ProgramTarget } from "../../targets/gdb/program/target.js";
import { DOORBELL } from "../../targets/linux/doorbell-words.js";

/**
 * Connects to the stub of a program.
 *
 * @param where    see parseStubAddress
 * @param doorbell rung by another thread that wants a word with this one
 * @throws TargetError nobody is there; or a machine, not a program
 */
export function openStubProgram(where: string, doorbell: SharedArrayBuffer): ProgramTarget {
  const bell = new Int32Array(doorbell);
  const client = GdbClient.connect(where, PROGRAM_STUB);
  try {
    if (!isProgram(client))
      throw new TargetError(`${client.name}: what is behind this stub is a machine, not a program`, {
        remedy: "Name the image of its kernel.",
      });
    return new ProgramTarget(client, { woken: () => Atomics.exchange(bell, DOORBELL.rung, 0) !== 0 });
  } catch (error) {
    client[Symbol.dispose]();
    throw error;
  }
}
