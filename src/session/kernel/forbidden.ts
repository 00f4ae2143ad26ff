import type { Address } from "../../base/address.js";
import { ProbeRefused } from "../../base/errors.js";
import type { RefusalReason } from "../../base/refusals.js";
import type { KernelCode } from "../../symbols/kernel/code.js";
import type { Vaddr } from "../../symbols/vaddr.js";

/** Why a kernel's text is left alone there, in a few words each. */
const WHY: Partial<Record<RefusalReason, string>> = {
  "not-code": "no instructions of the kernel or a module are there",
  "noinstr-text": "it is code that runs where nothing may interrupt it (noinstr)",
  "entry-text": "it is the kernel's own entry from programs and interrupts",
  "kprobe-blacklist": "the kernel itself keeps kprobes away from it (NOKPROBE_SYMBOL)",
  "init-text": "it runs only while the kernel boots, and its memory is given away then",
  "alternative-text": "it is a replacement that is copied elsewhere, and never run where it lies",
  "patched-text": "the kernel rewrites this instruction while it runs (a jump label or a static call)",
  padding: "it is padding between functions",
};

/** @throws ProbeRefused a probe there would do harm, or never be hit */
export function refuseForbidden(code: KernelCode, vaddr: Vaddr, address: Address): void {
  const reason = code.forbidden(vaddr);
  if (reason !== undefined) throw new ProbeRefused(address, reason, WHY[reason] ?? reason);
}
