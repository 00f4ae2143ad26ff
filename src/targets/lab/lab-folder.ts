import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TargetError } from "../../base/errors.js";

const PREFIX = "trapline-lab-";
/** Holds QEMU's process id. */
const OWNER = "qemu.pid";

/** A Unix socket's path has room for 107 bytes. unix(7). */
const LONGEST_SOCKET_PATH = 107;

/** A machine's own folder, for nobody but this user. */
export class LabFolder {
  private constructor(readonly path: string) {}

  /**
   * Makes one, and removes those of machines that are no more: whoever was killed could not.
   *
   * @throws TargetError there is no place for one
   */
  static make(): LabFolder {
    const parent = tmpdir();
    try {
      removeAbandoned(parent);
      const folder = new LabFolder(mkdtempSync(join(parent, `${PREFIX}${String(process.pid)}-`)));
      if (Buffer.byteLength(folder.stub) <= LONGEST_SOCKET_PATH) return folder;
      folder.remove();
    } catch (error) {
      throw new TargetError(`cannot make a folder for the machine: ${(error as Error).message}`, {
        remedy: "set TMPDIR to a folder that can be written",
        cause: error,
      });
    }
    throw new TargetError(`the folder for temporary files has too long a name for a socket: ${parent}`, {
      remedy: "set TMPDIR to a shorter one",
    });
  }

  get stub(): string {
    return join(this.path, "gdb");
  }

  get initramfs(): string {
    return join(this.path, "initramfs");
  }

  /** The folder is the machine's, as long as that lives. */
  belongsTo(qemu: number): void {
    writeFileSync(join(this.path, OWNER), `${String(qemu)}\n`);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent)) {
    const maker = new RegExp(`^${PREFIX}([0-9]+)-`).exec(name)?.[1];
    if (maker === undefined) continue;
    const path = join(parent, name);
    const owner = readText(join(path, OWNER))?.trim() ?? maker;
    if (!lives(owner, path) && !lives(maker)) removeIfOurs(path);
  }
}

function removeIfOurs(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    // Another user's: theirs to remove.
    if (!["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

/** Does the process live, and does its command line name the folder? */
function lives(pid: string, folder?: string): boolean {
  const words = readText(`/proc/${pid}/cmdline`);
  return words !== undefined && (folder === undefined || words.includes(folder));
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // Not there, or another user's: either way it says nothing.
    return undefined;
  }
}
