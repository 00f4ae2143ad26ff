import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { TargetError } from "../../base/errors.js";
import { needProgram, output } from "./programs.js";

/** A module as the guest gets it. */
export interface GuestModule {
  /** "xfs". */
  readonly name: string;
  readonly bytes: Uint8Array;
}

const UNPACK_MILLISECONDS = 60_000;

/**
 * Modules out of a folder of a kernel release, each behind what it depends on: the order to load them in.
 * What a module depends on stands in itself (`depends=`, in its section .modinfo), so that no modules.dep
 * is needed: a package has none before it is installed.
 *
 * @param folder `…/lib/modules/RELEASE`
 * @throws TargetError there is no such module in the folder
 */
export async function modulesInOrder(folder: string, names: readonly string[]): Promise<GuestModule[]> {
  if (names.length === 0) return [];
  const files = moduleFiles(folder);
  const builtIn = builtInNames(folder);
  const found = new Map<string, GuestModule>();
  const add = async (name: string, neededBy: string | undefined): Promise<void> => {
    if (found.has(name) || builtIn.has(name)) return;
    const file = files.get(name);
    if (file === undefined) {
      const use = neededBy === undefined ? "" : `, which ${neededBy} needs`;
      throw new TargetError(`there is no module ${name} in ${folder}${use}`);
    }
    const bytes = await unpacked(file);
    for (const other of dependencies(bytes)) await add(other, name);
    found.set(name, { name, bytes });
  };
  for (const name of names) await add(underscored(name), undefined);
  return [...found.values()];
}

/** The kernel's own spelling of a module's name has no dashes; its file may have. */
function underscored(name: string): string {
  return name.replaceAll("-", "_");
}

const MODULE_FILE = /^(.+)\.ko(\.gz|\.xz|\.zst)?$/;

function moduleFiles(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const path of entries(folder)) {
    const name = MODULE_FILE.exec(basename(path))?.[1];
    if (name !== undefined) files.set(underscored(name), join(folder, path));
  }
  return files;
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" });
  } catch (error) {
    throw new TargetError(`cannot look for modules in ${folder}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function builtInNames(folder: string): Set<string> {
  let text: string;
  try {
    text = readFileSync(join(folder, "modules.builtin"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Set();
    throw error;
  }
  return new Set(text.split("\n").map((line) => underscored(basename(line, ".ko"))));
}

async function unpacked(file: string): Promise<Uint8Array> {
  const what = `cannot unpack ${file}`;
  if (file.endsWith(".xz"))
    return output(needProgram("xz", "unpacks modules"), ["-dc", file], what, UNPACK_MILLISECONDS);
  if (file.endsWith(".zst"))
    return output(needProgram("zstd", "unpacks modules"), ["-dc", file], what, UNPACK_MILLISECONDS);
  const bytes = readFileSync(file);
  return file.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

/** `depends=a,b` of .modinfo, whose strings end with NUL; include/linux/moduleparam.h writes them. */
function dependencies(bytes: Uint8Array): string[] {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = whole.indexOf("\0depends=", 0, "latin1");
  if (at < 0) return [];
  const begin = at + "\0depends=".length;
  const text = whole.toString("latin1", begin, whole.indexOf(0, begin));
  return text === "" ? [] : text.split(",").map(underscored);
}
