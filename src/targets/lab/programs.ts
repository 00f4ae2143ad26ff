import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { TargetError } from "../../base/errors.js";

/** Programs that the lab runs, and what to install on Debian and elsewhere where they are missing. */
const SOURCES = {
  "qemu-system-x86_64": "apt-get install qemu-system-x86; elsewhere the package that has qemu-system-x86_64",
  busybox: "apt-get install busybox-static; elsewhere a busybox that is linked statically",
  setpriv: "apt-get install util-linux",
  "apt-get":
    "give a kernel image with --kernel, since packages of kernels are fetched with Debian's apt alone",
  "apt-cache":
    "give a kernel image with --kernel, since packages of kernels are fetched with Debian's apt alone",
  "dpkg-deb": "apt-get install dpkg",
  xz: "apt-get install xz-utils",
  zstd: "apt-get install zstd",
} as const satisfies Readonly<Record<string, string>>;

export type LabProgram = keyof typeof SOURCES;

/** Where `$PATH` has a program; undefined: nowhere. */
function findProgram(name: LabProgram): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        // Not there, or not for us: the next folder may have it.
        return false;
      }
    });
}

/**
 * @param use "boots the kernel"
 * @throws TargetError it is not there, and what to install
 */
export function needProgram(name: LabProgram, use: string): string {
  const path = findProgram(name);
  if (path !== undefined) return path;
  throw new TargetError(`the lab needs ${name}, which ${use}, and there is none in $PATH`, {
    remedy: SOURCES[name],
  });
}

const MOST_BYTES = 2 ** 30;

/**
 * Runs a program to its end.
 *
 * @param patience milliseconds
 * @returns its standard output
 * @throws TargetError it failed or took too long: with the last that it had to say
 */
export async function output(
  path: string,
  words: readonly string[],
  what: string,
  patience: number,
  folder?: string,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    execFile(
      path,
      words,
      {
        cwd: folder,
        encoding: "buffer",
        maxBuffer: MOST_BYTES,
        timeout: patience,
        killSignal: "SIGKILL",
        env: { ...process.env, LC_ALL: "C" },
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(failure(what, error, stderr.toString("utf8"), patience));
      },
    );
  });
}

interface ExecError extends Error {
  readonly killed?: boolean;
  readonly code?: number | string | null;
}

function failure(what: string, error: ExecError, said: string, patience: number): TargetError {
  const lines = said.split("\n").filter((line) => line.trim() !== "");
  const errors = lines.filter((line) => line.startsWith("E: "));
  const last = (errors.length > 0 ? errors : lines).slice(-3).join("; ");
  const why =
    error.killed === true ? `it took longer than ${String(patience / 1000)} s` : last || error.message;
  return new TargetError(`${what}: ${why}`, { cause: error });
}
