import { kernelCache } from "../../targets/lab/kernel-package.js";
import type { Machine } from "./machine.js";
import type { Finding } from "./report.js";

/** What `--lab` runs, and Debian's package of each. */
const PROGRAMS = [
  { name: "qemu-system-x86_64", from: "qemu-system-x86" },
  { name: "busybox", from: "busybox-static" },
  { name: "setpriv", from: "util-linux" },
] as const;

/** Can a kernel be booted and probed here, and which? */
export function lab(machine: Machine): Finding {
  const missing = PROGRAMS.filter(({ name }) => machine.findProgram(name) === undefined);
  if (missing.length > 0) {
    return {
      state: "note",
      what: `lab: --lab cannot boot a kernel without ${missing.map(({ name }) => name).join(", ")}`,
      remedy: `apt-get install ${missing.map(({ from }) => from).join(" ")}`,
    };
  }
  const cache = kernelCache();
  const [kernel] = machine.readFolder(cache).filter((name) => !name.startsWith("."));
  if (kernel !== undefined)
    return { state: "ok", what: `lab: --lab can boot a kernel, ${kernel} in ${cache}` };
  if (machine.findProgram("apt-get") !== undefined)
    return {
      state: "ok",
      what: `lab: --lab can boot a kernel, which is fetched into ${cache} when it is needed`,
    };
  return {
    state: "note",
    what: "lab: --lab has no kernel to boot, and there is no apt to fetch Debian's with",
    remedy: "give an image with --kernel, such as /boot/vmlinuz-RELEASE",
  };
}
