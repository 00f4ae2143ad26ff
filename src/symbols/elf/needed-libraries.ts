import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { TargetError } from "../../base/errors.js";
import { Fields } from "./fields.js";
import type { ElfImage } from "./image.js";
import { reasonOf } from "./source.js";

/** Where the dynamic linker looks last. Those of Debian's multiarch and of the others' lib64. */
const DEFAULT_FOLDERS: readonly string[] = [
  "/lib/x86_64-linux-gnu",
  "/usr/lib/x86_64-linux-gnu",
  "/lib64",
  "/usr/lib64",
  "/lib",
  "/usr/lib",
];

export interface LibrarySearch {
  /** Value of LD_LIBRARY_PATH; none unless told. */
  readonly libraryPath?: string;
  /** `/etc/ld.so.cache` unless told. */
  readonly cache?: string;
}

/**
 * The libraries that a program will have loaded when it starts, and those that they need, each
 * once, in the order of breadth in which the dynamic linker finds them (ld.so(8)): for listing
 * probe points of a program that does not run. For one that does, its mappings tell. What is not
 * found, cannot be read or is for another machine is left out; preloading and dlopen are not foreseen.
 *
 * @param open gives the image of a path; who closes it is its affair
 */
export function neededLibraries(
  program: ElfImage,
  open: (path: string) => ElfImage,
  search: LibrarySearch = {},
): ElfImage[] {
  const cached = readCache(search.cache ?? "/etc/ld.so.cache");
  const libraries = new Map<string, ElfImage>();
  const queue = [program];
  for (let image = queue.shift(); image !== undefined; image = queue.shift()) {
    for (const name of image.needed) {
      if (libraries.has(name)) continue;
      const library = firstUsable(placesOf(name, image, search.libraryPath ?? "", cached), open);
      if (library === undefined) continue;
      libraries.set(name, library);
      queue.push(library);
    }
  }
  return [...libraries.values()];
}

function placesOf(
  name: string,
  image: ElfImage,
  libraryPath: string,
  cached: ReadonlyMap<string, string>,
): string[] {
  if (name.includes("/")) return isAbsolute(name) ? [name] : [];
  const origin = dirname(image.realPath);
  const runPath = image.runPath.map((folder) => folder.replace(/\$(ORIGIN|\{ORIGIN\})/g, () => origin));
  // Each once, as the linker looks: a damaged path of two thousand must not be gone through for each library.
  const folders = [...new Set([...libraryPath.split(":"), ...runPath].filter(isAbsolute))].slice(
    0,
    MOST_FOLDERS,
  );
  const known = cached.get(name);
  return [
    ...folders.map((folder) => join(folder, name)),
    ...(known === undefined ? [] : [known]),
    ...DEFAULT_FOLDERS.map((folder) => join(folder, name)),
  ];
}

function firstUsable(paths: readonly string[], open: (path: string) => ElfImage): ElfImage | undefined {
  for (const path of paths) {
    if (!existsSync(path)) continue;
    try {
      return open(path);
    } catch (cause) {
      // The dynamic linker too goes on to the next folder past a library of another machine.
      if (!(cause instanceof TargetError)) throw cause;
    }
  }
  return undefined;
}

/** `struct cache_file_new` and its entries: dl-cache.h of the GNU C library. */
const CACHE = {
  magic: "glibc-ld.so.cache1.1",
  count: 20,
  entries: 48,
  entrySize: 24,
  name: 4,
  path: 8,
  /** Flags of a library of x86-64 for the GNU C library: FLAG_X8664_LIB64 | FLAG_ELF_LIBC6. */
  x86_64: 0x0303,
} as const;

/** Names and paths of the linker's cache; empty where there is none, as with other C libraries. */
function readCache(path: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause) return found;
    throw new TargetError(`cannot read ${path}: ${reasonOf(cause)}`, { cause });
  }
  // Before 2.32 the cache began with one of an older form, the newer behind it.
  const start = bytes.indexOf(CACHE.magic);
  if (start < 0) return found;
  const cache = new Fields(bytes.subarray(start), path);
  const fits = Math.floor((cache.length - CACHE.entries) / CACHE.entrySize);
  if (fits < 0) return found;
  const count = Math.min(cache.u32(CACHE.count), fits);
  for (let index = 0; index < count; index += 1) {
    const at = CACHE.entries + index * CACHE.entrySize;
    if (cache.u32(at) !== CACHE.x86_64) continue;
    const name = cache.string(cache.u32(at + CACHE.name), MAX_NAME);
    // Of several, the first is the one for the best processor; the plain one is as good for its names.
    if (!found.has(name)) found.set(name, cache.string(cache.u32(at + CACHE.path), MAX_NAME));
  }
  return found;
}

const MOST_FOLDERS = 100;
/** PATH_MAX. */
const MAX_NAME = 4096;
