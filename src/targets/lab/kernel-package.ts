import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { TargetError } from "../../base/errors.js";
import { needProgram, output } from "./programs.js";

/** A kernel and its modules, out of a package. */
export interface PackagedKernel {
  /** The image that is booted, a bzImage. */
  readonly image: string;
  /** `lib/modules/RELEASE` of the package. */
  readonly modules: string | undefined;
}

/** What depends on the newest kernel for virtual machines that Debian has: small, and with BTF. */
const NEWEST = "linux-image-cloud-amd64";

const LIST_MILLISECONDS = 300_000;
const DOWNLOAD_MILLISECONDS = 900_000;
const UNPACK_MILLISECONDS = 300_000;

/** Holds what is not complete, and in its name who fetches it. */
const PARTIAL = ".partial-";
const PARTIAL_NAME = /^\.partial-([0-9]+)-/;
const POLL_MILLISECONDS = 200;

/** `${XDG_CACHE_HOME:-~/.cache}/trapline/kernels`. */
export function kernelCache(): string {
  const base = process.env["XDG_CACHE_HOME"];
  // The specification has relative paths ignored.
  const root = base?.startsWith("/") === true ? base : join(homedir(), ".cache");
  return join(root, "trapline", "kernels");
}

/** The newest kernel that the cache has; undefined: none. */
export function cachedKernel(cache = kernelCache()): PackagedKernel | undefined {
  return list(cache)
    .filter((name) => !name.startsWith("."))
    .map((name) => join(cache, name))
    .map((folder) => ({ kernel: kernelIn(folder), time: modified(folder) }))
    .filter((entry): entry is { kernel: PackagedKernel; time: number } => entry.kernel !== undefined)
    .sort((one, other) => other.time - one.time)[0]?.kernel;
}

/**
 * Debian's kernel for virtual machines: out of the cache, or fetched through apt, which checks its
 * signatures, and unpacked; nothing is installed. A folder of the cache is complete or not there, whoever
 * else fetches at the same time and whenever we are killed.
 *
 * @param tell what is about to take a while
 * @throws TargetError there is no apt, no network, no such package
 */
export async function packagedKernel(
  tell: (sentence: string) => void,
  cache = kernelCache(),
): Promise<PackagedKernel> {
  const cached = cachedKernel(cache) ?? (await fetchedByAnother(tell, cache));
  if (cached !== undefined) return cached;
  const kernel = await fetchKernel(tell, cache);
  if (kernel === undefined) throw new TargetError(`the package ${NEWEST} leads to no kernel image`);
  return kernel;
}

/** What another start is just fetching is not fetched twice. */
async function fetchedByAnother(
  tell: (sentence: string) => void,
  cache: string,
): Promise<PackagedKernel | undefined> {
  const since = performance.now();
  for (let told = false; performance.now() - since < DOWNLOAD_MILLISECONDS; told = true) {
    if (!list(cache).some(isBeingFetched)) break;
    if (!told) tell("another session is fetching Debian's kernel: waiting for it");
    await setTimeout(POLL_MILLISECONDS);
  }
  return cachedKernel(cache);
}

function isBeingFetched(name: string): boolean {
  const fetcher = PARTIAL_NAME.exec(name)?.[1];
  return fetcher !== undefined && fetcher !== String(process.pid) && existsSync(`/proc/${fetcher}`);
}

async function fetchKernel(
  tell: (sentence: string) => void,
  cache: string,
): Promise<PackagedKernel | undefined> {
  const get = needProgram("apt-get", "fetches a kernel");
  const ask = needProgram("apt-cache", "knows the kernels that there are");
  const unpack = needProgram("dpkg-deb", "unpacks a kernel");
  try {
    mkdirSync(cache, { recursive: true });
    removeAbandoned(cache);
  } catch (error) {
    throw new TargetError(`cannot keep kernels in ${cache}: ${(error as Error).message}`, {
      remedy: "set XDG_CACHE_HOME to a folder that can be written",
      cause: error,
    });
  }
  const partial = mkdtempSync(join(cache, `${PARTIAL}${String(process.pid)}-`));
  try {
    let options: readonly string[] = [];
    let name = await newestKernel(ask, options);
    if (name === undefined) {
      tell("apt has no package lists here: fetching them, for the lab alone");
      options = await ownLists(get, join(partial, "apt"));
      name = await newestKernel(ask, options);
    }
    if (name === undefined) {
      throw new TargetError(`apt knows no package ${NEWEST}`, {
        remedy: "add a Debian archive to apt's sources, or give a kernel image with --kernel",
      });
    }
    tell(`fetching Debian's package ${name} into ${cache}, once`);
    const what = `cannot fetch the package ${name}`;
    await output(get, [...options, "-q", "download", name], what, DOWNLOAD_MILLISECONDS, partial);
    const file = list(partial).find((entry) => entry.endsWith(".deb"));
    if (file === undefined) throw new TargetError(`${what}: apt-get download left no file`);
    const folder = join(partial, "unpacked");
    await output(unpack, ["-x", join(partial, file), folder], `cannot unpack ${file}`, UNPACK_MILLISECONDS);
    if (kernelIn(folder) === undefined) {
      throw new TargetError(`the package ${file} has no kernel image boot/vmlinuz-…`);
    }
    const place = join(cache, file.replace(/\.deb$/, ""));
    moveThere(folder, place);
    return kernelIn(place);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** The package with the image itself: what the newest depends on. */
async function newestKernel(ask: string, options: readonly string[]): Promise<string | undefined> {
  const what = `cannot ask apt for ${NEWEST}`;
  const text = await output(
    ask,
    [...options, "-q", "depends", "--important", NEWEST],
    what,
    LIST_MILLISECONDS,
  ).catch((error: unknown) => {
    // "No packages found" is an answer; that it is not found is told where lists of our own do not help.
    if (error instanceof TargetError) return Buffer.alloc(0);
    throw error;
  });
  return /^\s*\|?Depends: (linux-image-[^\s<>]+)$/m.exec(text.toString("utf8"))?.[1];
}

/** Package lists in a folder of ours: containers come without, and only root may fetch those of the system. */
async function ownLists(get: string, folder: string): Promise<readonly string[]> {
  for (const path of ["lists/partial", "cache/archives/partial"])
    mkdirSync(join(folder, path), { recursive: true });
  const options = [
    ["Dir::State::lists", join(folder, "lists")],
    ["Dir::Cache", join(folder, "cache")],
    // The user that apt fetches as, where root starts it, may not enter our folder.
    ["APT::Sandbox::User", "root"],
  ].flatMap(([name = "", value = ""]) => ["-o", `${name}=${value}`]);
  await output(get, [...options, "-q", "update"], "cannot fetch apt's package lists", LIST_MILLISECONDS);
  return options;
}

/** Another start may have been quicker: theirs is as good as ours. */
function moveThere(folder: string, place: string): void {
  try {
    renameSync(folder, place);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
  }
}

/** What starts left behind that were killed. */
function removeAbandoned(cache: string): void {
  for (const name of list(cache)) {
    const path = join(cache, name);
    const fetcher = PARTIAL_NAME.exec(name)?.[1];
    if (fetcher !== undefined && !existsSync(`/proc/${fetcher}`))
      rmSync(path, { recursive: true, force: true });
  }
}

function kernelIn(folder: string): PackagedKernel | undefined {
  const image = list(join(folder, "boot")).find((name) => name.startsWith("vmlinuz-"));
  if (image === undefined) return undefined;
  const modules = modulesOf(folder, image.slice("vmlinuz-".length));
  return { image: join(folder, "boot", image), modules };
}

/** From Debian 13 on packages have their modules under usr. */
function modulesOf(folder: string, release: string): string | undefined {
  return ["lib/modules", "usr/lib/modules"]
    .map((path) => join(folder, path, release))
    .find((path) => list(path).length > 0);
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

function modified(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0; // Another start has removed it.
    throw error;
  }
}
