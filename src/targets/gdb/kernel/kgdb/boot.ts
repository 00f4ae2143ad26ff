import type { Address } from "../../../../base/address.js";
import { TargetError } from "../../../../base/errors.js";
import type { KernelImage } from "../../../../symbols/kernel/image.js";
import type { KgdbMachine } from "./kgdb-machine.js";

/** What KGDB says of breakpoints and steps. */
export const SIGTRAP = 5;

/** include/linux/kernel.h: SYSTEM_SCHEDULING; all that follow are beyond the making of read-only text. */
const STILL_BOOTING = 1;
const LONGEST_BOOT = 180_000;
const STOP_IT = "echo g > /proc/sysrq-trigger";

/**
 * Lets a kernel that waits for us while it boots (`kgdbwait`) go on until it is stopped by somebody there. A
 * breakpoint that KGDB put into text which is still writable cannot be taken out once it is not, since KGDB puts
 * the byte back the way that it came; and debug registers, which need no text, do not stop every kernel.
 *
 * @throws TargetError nobody stops it
 */
export function letBoot(
  machine: KgdbMachine,
  image: KernelImage,
  slide: number,
  onNotice: (text: string) => void,
): void {
  const { client } = machine;
  const state = image.symbol("system_state");
  if (state === undefined) return;
  const bytes = new Uint8Array(4);
  const isBooting = (): boolean =>
    machine.read((state + slide) as Address, bytes) === bytes.length &&
    new DataView(bytes.buffer).getInt32(0, true) <= STILL_BOOTING;
  if (!isBooting()) return;
  onNotice(`the kernel is still booting, and KGDB cannot hold breakpoints yet: waiting for ${STOP_IT} there`);
  const until = performance.now() + LONGEST_BOOT;
  do {
    machine.go();
    const stop = machine.wait(until);
    if (stop?.kind !== "stopped")
      throw new TargetError(`${client.name}: nobody has stopped the kernel since it went on booting`, {
        remedy: `Let it do so once it is up: ${STOP_IT}`,
      });
    machine.passesOn = stop.signal !== SIGTRAP;
  } while (isBooting());
}
