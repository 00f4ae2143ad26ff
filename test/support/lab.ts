import { type LabMachine, type LabOptions, bootLab } from "../../src/targets/lab/machine.js";
import { needs } from "./needs.js";

/** For the options of a test that boots a machine. */
export const NEEDS_LAB = needs("qemu-system-x86", "busybox-static", "util-linux");

/**
 * Boots Debian's kernel (the cache's, fetched where there is none) for a test. One processor, and its
 * addresses where the linker put them, unless told otherwise; the machine dies with the test.
 *
 *     await using machine = await bootedLab();
 *     const client = connect(`unix:${machine.stub}`);
 *     const command = await machine.load("cat /proc/uptime", { output, error });
 *     … arm …
 *     command.start();
 */
export async function bootedLab(
  options: LabOptions & { readonly kaslr?: boolean } = {},
): Promise<LabMachine> {
  const { kaslr = false, append = "", ...rest } = options;
  return bootLab({ ...rest, append: `${kaslr ? "" : "nokaslr "}${append}` });
}
