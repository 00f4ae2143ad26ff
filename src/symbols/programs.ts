import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, isAbsolute, join, resolve } from "node:path";
import { UsageError } from "../base/errors.js";
import { compileGlob } from "./glob.js";

/** As execvp(3) has it where PATH is not set. */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * The file that `process("NAME")` means, as SystemTap finds it: a name with a slash is a path, any
 * other is looked up in PATH. Symbolic links are resolved, so that the result can be compared with
 * the mappings of a process.
 *
 * @param path   value of PATH; an empty part of it is the current folder
 * @param folder what relative names are relative to
 * @throws UsageError no such program
 */
export function resolveProgram(
  name: string,
  path: string | undefined,
  folder: string = process.cwd(),
): string {
  if (name.includes("/")) {
    const file = isAbsolute(name) ? name : resolve(folder, name);
    const found = realFile(file);
    if (found === undefined) throw new UsageError(`cannot find the program ${name}: no such file`);
    return found;
  }
  for (const part of (path ?? DEFAULT_PATH).split(":")) {
    const file = resolve(folder, join(part === "" ? "." : part, name));
    if (isExecutable(file)) return realFile(file) ?? file;
  }
  throw new UsageError(`cannot find the program ${name === "" ? '""' : name} in PATH`, {
    remedy: "write its path, or set PATH",
  });
}

/** A library as a target has it mapped. */
export interface LibraryNames {
  /** As the mappings show it. */
  readonly path: string;
  /** DT_SONAME, asked for only where the path does not match: that is when the file must be opened. */
  readonly soname: () => string | undefined;
}

/**
 * Whether `.library("PATTERN")` means a library: a pattern with a slash is compared with its path,
 * with symbolic links in the pattern resolved; any other with the last part of its path and with
 * its soname (`libc.so.6` finds `libc-2.31.so`). Wildcards as {@link compileGlob} has them.
 */
export function matchesLibrary(pattern: string, library: LibraryNames): boolean {
  const glob = compileGlob(pattern);
  if (pattern.includes("/")) {
    if (glob.matches(library.path)) return true;
    return glob.exact !== undefined && realFile(glob.exact) === library.path;
  }
  if (glob.matches(basename(library.path))) return true;
  const soname = library.soname();
  return soname !== undefined && glob.matches(soname);
}

function isExecutable(file: string): boolean {
  return answers(() => {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  });
}

function realFile(file: string): string | undefined {
  let real: string | undefined;
  const found = answers(() => {
    real = realpathSync(file);
    return true;
  });
  return found ? real : undefined;
}

/** False where the file system says no, for whatever reason. */
function answers(ask: () => boolean): boolean {
  try {
    return ask();
  } catch (cause) {
    if (cause instanceof Error && "code" in cause) return false;
    throw cause;
  }
}
