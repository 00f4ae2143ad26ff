import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const CACHE = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "trapline", "kernels");

/** The image of Debian's kernel: that of $TRAPLINE_TEST_KERNEL, else one that is in the lab's cache. */
export function debianKernel(): string | undefined {
  const told = process.env["TRAPLINE_TEST_KERNEL"];
  if (told !== undefined && told !== "") return told;
  if (!existsSync(CACHE)) return undefined;
  const files = readdirSync(CACHE, { recursive: true, encoding: "utf8" });
  const image = files.filter((file) => /(^|\/)vmlinuz-[^/]*-cloud-amd64$/.test(file)).sort()[0];
  return image === undefined ? undefined : join(CACHE, image);
}
