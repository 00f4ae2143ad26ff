import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { TargetError } from "../../base/errors.js";
import { needProgram, output } from "./programs.js";

/** A package of Debian's that is fetched and unpacked, not installed. */
export interface WantedPackage {
  /** What depends on the newest of them: "linux-image-cloud-amd64". */
  readonly newest: string;
  /** How the names of those begin that can be meant: "linux-image-". */
  readonly begin: string;
  /** "a kernel". */
  readonly what: string;
  /** What to do where apt does not know it. */
  readonly remedy: string;
  /** "the lab": for whom package lists are fetched where apt has none. */
  readonly whom: string;
  /**
   * What to keep of the folder that it was unpacked to.
   *
   * @throws TargetError it has not what it is fetched for
   */
  readonly check: (folder: string, file: string) => void;
}

const LIST_MILLISECONDS = 300_000;
const DOWNLOAD_MILLISECONDS = 900_000;
const UNPACK_MILLISECONDS = 300_000;

/** Holds what is not complete, and in its name who fetches it. */
const PARTIAL = ".partial-";
const PARTIAL_NAME = /^\.partial-([0-9]+)-/;
const POLL_MILLISECONDS = 200;

/**
 * Fetches a package through apt, which checks its signatures, and unpacks it into a folder of the cache that
 * has the package's name. That is complete or not there, whoever else fetches at the same time and whenever
 * we are killed.
 *
 * @param tell what is about to take a while
 * @returns the folder
 * @throws TargetError there is no apt, no network, no such package
 */
export async function fetchPackage(
  wanted: WantedPackage,
  cache: string,
  tell: (sentence: string) => void,
): Promise<string> {
  const get = needProgram("apt-get", `fetches ${wanted.what}`);
  const ask = needProgram("apt-cache", `knows the packages that have ${wanted.what}`);
  const unpack = needProgram("dpkg-deb", `unpacks ${wanted.what}`);
  const partial = partialFolder(cache);
  try {
    let options: readonly string[] = [];
    let name = await newestOf(wanted, ask, options);
    if (name === undefined) {
      tell(`apt has no package lists here: fetching them, for ${wanted.whom} alone`);
      options = await ownLists(get, join(partial, "apt"));
      name = await newestOf(wanted, ask, options);
    }
    if (name === undefined)
      throw new TargetError(`apt knows no package ${wanted.newest}`, { remedy: wanted.remedy });
    tell(`fetching Debian's package ${name} into ${cache}, once`);
    const what = `cannot fetch the package ${name}`;
    await output(get, [...options, "-q", "download", name], what, DOWNLOAD_MILLISECONDS, partial);
    const file = list(partial).find((entry) => entry.endsWith(".deb"));
    if (file === undefined) throw new TargetError(`${what}: apt-get download left no file`);
    const folder = join(partial, "unpacked");
    await output(unpack, ["-x", join(partial, file), folder], `cannot unpack ${file}`, UNPACK_MILLISECONDS);
    wanted.check(folder, file);
    const place = join(cache, file.replace(/\.deb$/, ""));
    moveThere(folder, place);
    return place;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/**
 * Waits for another process that is just filling the cache: what it fetches is not fetched twice. No longer
 * than a download may take.
 */
export async function otherFetchesEnd(cache: string, begins: () => void): Promise<void> {
  const since = performance.now();
  for (let told = false; performance.now() - since < DOWNLOAD_MILLISECONDS; told = true) {
    if (!list(cache).some(isBeingMade)) return;
    if (!told) begins();
    await setTimeout(POLL_MILLISECONDS);
  }
}

/**
 * A new folder in the cache for what is not complete yet. Those of processes that are no more are removed.
 *
 * @throws TargetError nothing can be kept there
 */
export function partialFolder(cache: string): string {
  try {
    mkdirSync(cache, { recursive: true });
    removeAbandoned(cache);
    return mkdtempSync(join(cache, `${PARTIAL}${String(process.pid)}-`));
  } catch (error) {
    throw new TargetError(`cannot keep kernels in ${cache}: ${(error as Error).message}`, {
      remedy: "set XDG_CACHE_HOME to a folder that can be written",
      cause: error,
    });
  }
}

/** Another process may have been quicker: theirs is as good as ours. */
export function moveThere(folder: string, place: string): void {
  try {
    renameSync(folder, place);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
  }
}

/** What a folder has; nothing where there is none. */
export function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

function isBeingMade(name: string): boolean {
  const maker = PARTIAL_NAME.exec(name)?.[1];
  return maker !== undefined && maker !== String(process.pid) && existsSync(`/proc/${maker}`);
}

/** The package with the files themselves: what the newest depends on. */
async function newestOf(
  { newest, begin }: WantedPackage,
  ask: string,
  options: readonly string[],
): Promise<string | undefined> {
  const words = [...options, "-q", "depends", "--important", newest];
  const text = await output(ask, words, `cannot ask apt for ${newest}`, LIST_MILLISECONDS).catch(
    (error: unknown) => {
      // "No packages found" is an answer; that it is not found is told where lists of our own do not help.
      if (error instanceof TargetError) return Buffer.alloc(0);
      throw error;
    },
  );
  const names = [...text.toString("utf8").matchAll(/^\s*\|?Depends: ([^\s<>]+)$/gm)];
  return names.map(([, name = ""]) => name).find((name) => name.startsWith(begin));
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

/** What was left behind by processes that were killed. */
function removeAbandoned(cache: string): void {
  for (const name of list(cache)) {
    const maker = PARTIAL_NAME.exec(name)?.[1];
    if (maker !== undefined && !existsSync(`/proc/${maker}`))
      rmSync(join(cache, name), { recursive: true, force: true });
  }
}
