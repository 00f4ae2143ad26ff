import { cachedKernel, packagedKernel } from "../../../src/targets/lab/kernel-package.js";

/** The image of Debian's kernel, the lab's own: fetched where the cache has none. */
export async function debianKernel(): Promise<string> {
  return (cachedKernel() ?? (await packagedKernel(() => undefined))).image;
}
