import { createHash } from "node:crypto";
import { accessSync, constants, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TargetError } from "../../../../src/base/errors.js";
import {
  fetchPackage,
  list,
  moveThere,
  partialFolder,
  type WantedPackage,
} from "../../../../src/targets/lab/debian-package.js";
import { kernelCache } from "../../../../src/targets/lab/kernel-package.js";
import { output } from "../../../../src/targets/lab/programs.js";

/** How the kernel is configured. Compiled, this file is in build/test/targets/gdb/kgdb. */
const CONFIGURATION = fileURLToPath(
  new URL("../../../../../test/targets/gdb/kgdb/kernel.config", import.meta.url),
);

const SOURCE: WantedPackage = {
  newest: "linux-source",
  begin: "linux-source-",
  what: "the kernel's source",
  remedy: "add a Debian archive to apt's sources",
  whom: "this run",
  check: (folder, file) => {
    if (tarIn(folder) === undefined)
      throw new TargetError(`the package ${file} has no usr/src/linux-….tar.xz`);
  },
};

/** What building a kernel needs, by Debian's packages: programs and headers. Documentation/process/changes.rst. */
const NEEDED: readonly (readonly [package_: string, provides: string])[] = [
  ["gcc", "gcc"],
  ["libc6-dev", "/usr/include/stdio.h"],
  ["make", "make"],
  ["flex", "flex"],
  ["bison", "bison"],
  ["bc", "bc"],
  ["pahole", "pahole"],
  ["libelf-dev", "/usr/include/libelf.h"],
  ["perl", "perl"],
  ["xz-utils", "xz"],
];

const UNPACK_MILLISECONDS = 1_800_000;
const BUILD_MILLISECONDS = 4 * 3_600_000;
/** Politely: nobody waits for it alone. */
const NICE = ["nice", "-n", "19"] as const;
/** The same source and compiler make the same kernel, and it tells nothing of the machine that built it. */
const BUILD_ENVIRONMENT = {
  KBUILD_BUILD_USER: "trapline",
  KBUILD_BUILD_HOST: "lab",
  KBUILD_BUILD_VERSION: "1",
  KBUILD_BUILD_TIMESTAMP: "@0",
} as const;

/**
 * The kernel with KGDB, as a bzImage: what the cache has of this source and this configuration, else built
 * from Debian's `linux-source`, which is fetched where the cache has none.
 *
 * @param tell what is about to take a while
 * @throws TargetError what is missing, or why it cannot be built
 */
export async function kgdbKernel(tell: (sentence: string) => void, cache = kernelCache()): Promise<string> {
  const known = cachedSource(cache);
  if (known !== undefined) {
    const built = imageIn(placeOf(known));
    if (existsSync(built)) return built;
  }
  mustHaveTools();
  const source = known ?? (await fetchPackage(SOURCE, cache, tell));
  await build(source, cache, tell);
  return imageIn(placeOf(source));
}

/** Where the kernel that is built of a source is kept, named for all that it depends on. */
function placeOf(source: string): string {
  const version = basename(source)
    .replace(/^linux-source-/, "")
    .replace(/_all$/, "");
  const hash = createHash("sha256")
    .update(readFileSync(CONFIGURATION))
    .update(JSON.stringify(BUILD_ENVIRONMENT))
    .digest("hex");
  return join(source, "..", `kgdb-${version}-${hash.slice(0, 12)}`);
}

function imageIn(folder: string): string {
  return join(folder, "bzImage");
}

function cachedSource(cache: string): string | undefined {
  const folders = list(cache).filter((name) => name.startsWith(SOURCE.begin));
  const newest = folders.sort((one, other) => one.localeCompare(other, "en", { numeric: true })).at(-1);
  return newest === undefined ? undefined : join(cache, newest);
}

function tarIn(folder: string): string | undefined {
  const files = join(folder, "usr/src");
  const name = list(files).find((each) => /^linux-source-.*\.tar\.xz$/.test(each));
  return name === undefined ? undefined : join(files, name);
}

async function build(source: string, cache: string, tell: (sentence: string) => void): Promise<void> {
  const tar = tarIn(source);
  if (tar === undefined)
    throw new TargetError(`${source} has no source of a kernel: remove it, and start again`);
  const partial = partialFolder(cache);
  try {
    tell(`unpacking ${tar}`);
    await output("tar", ["-xf", tar, "-C", partial], `cannot unpack ${tar}`, UNPACK_MILLISECONDS);
    const [folder] = list(partial);
    if (folder === undefined) throw new TargetError(`${tar} has nothing in it`);
    const tree = join(partial, folder);
    const configure = [`KCONFIG_ALLCONFIG=${CONFIGURATION}`, "allnoconfig"];
    await make(tree, configure, "cannot configure the kernel", UNPACK_MILLISECONDS);
    mustBeConfigured(join(tree, ".config"));
    tell("building the kernel, once; on two processors that nobody else needs it takes ten minutes");
    const words = [`-j${String(availableParallelism())}`, "bzImage"];
    await make(tree, words, "cannot build the kernel", BUILD_MILLISECONDS);
    const made = join(partial, "made");
    mkdirSync(made);
    copyFileSync(join(tree, "arch/x86/boot/bzImage"), imageIn(made));
    copyFileSync(join(tree, ".config"), join(made, "config"));
    moveThere(made, placeOf(source));
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

async function make(tree: string, words: readonly string[], what: string, patience: number): Promise<void> {
  const settings = Object.entries(BUILD_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
  const [program, ...rest] = [...NICE, "make", "--no-print-directory", ...settings, ...words];
  await output(program, rest, what, patience, tree);
}

/** What depends on something that this version of Linux wants besides is left out silently. */
function mustBeConfigured(path: string): void {
  const made = new Set(readFileSync(path, "utf8").split("\n"));
  const lost = readFileSync(CONFIGURATION, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("CONFIG_") && !made.has(line));
  if (lost.length > 0)
    throw new TargetError(`this kernel cannot be configured with ${lost.join(", ")}`, {
      remedy: `see what they depend on now, and add it to ${CONFIGURATION}`,
    });
}

function mustHaveTools(): void {
  const missing = NEEDED.filter(([, provides]) => !isThere(provides)).map(([name]) => name);
  if (missing.length === 0) return;
  throw new TargetError(`building a kernel needs ${missing.join(", ")}, which this machine does not have`, {
    remedy: `apt-get install ${missing.join(" ")}`,
  });
}

function isThere(provides: string): boolean {
  if (provides.startsWith("/")) return existsSync(provides);
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, provides), constants.X_OK);
      return true;
    } catch {
      // Not there, or not for us: the next folder may have it.
      return false;
    }
  });
}
