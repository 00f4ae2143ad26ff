import { statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { TargetError } from "../../base/errors.js";
import { fetchPackage, list, otherFetchesEnd, type WantedPackage } from "./debian-package.js";

/** A kernel and its modules, out of a package. */
export interface PackagedKernel {
  /** The image that is booted, a bzImage. */
  readonly image: string;
  /** `lib/modules/RELEASE` of the package. */
  readonly modules: string | undefined;
}

/** Debian's kernel for virtual machines: small, and with BTF. */
const WANTED: WantedPackage = {
  newest: "linux-image-cloud-amd64",
  begin: "linux-image-",
  what: "a kernel",
  remedy: "add a Debian archive to apt's sources, or give a kernel image with --kernel",
  whom: "the lab",
  check: (folder, file) => {
    if (kernelIn(folder) === undefined)
      throw new TargetError(`the package ${file} has no kernel image boot/vmlinuz-…`);
  },
};

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
    .filter((name) => name.startsWith(WANTED.begin))
    .map((name) => join(cache, name))
    .map((folder) => ({ kernel: kernelIn(folder), time: modified(folder) }))
    .filter((entry): entry is { kernel: PackagedKernel; time: number } => entry.kernel !== undefined)
    .sort((one, other) => other.time - one.time)[0]?.kernel;
}

/**
 * Debian's kernel for virtual machines: out of the cache, or fetched through apt, which checks its
 * signatures, and unpacked; nothing is installed.
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
  const kernel = kernelIn(await fetchPackage(WANTED, cache, tell));
  if (kernel === undefined) throw new TargetError(`the package ${WANTED.newest} leads to no kernel image`);
  return kernel;
}

/** What another start is just fetching is not fetched twice. */
async function fetchedByAnother(
  tell: (sentence: string) => void,
  cache: string,
): Promise<PackagedKernel | undefined> {
  await otherFetchesEnd(cache, () => {
    tell("another session is fetching Debian's kernel: waiting for it");
  });
  return cachedKernel(cache);
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

function modified(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0; // Another start has removed it.
    throw error;
  }
}
