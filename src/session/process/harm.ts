import { type Address, formatAddress } from "../../base/address.js";
import { ProbeRefused } from "../../base/errors.js";
import { boundaryVerdict, instructionStarts, MAX_INSTRUCTION_LENGTH } from "../../arch/x86_64/decode.js";
import type { ElfImage } from "../../symbols/elf/image.js";
import { formatVaddr, type LoadBias, loadedAt, rangeAt, type Vaddr } from "../../symbols/vaddr.js";

/**
 * Refuses places where a displaced instruction would do harm that the instruction itself does not
 * tell.
 *
 * @throws ProbeRefused
 */
export function refuseHarm(elf: ElfImage, vaddr: Vaddr, address: Address): void {
  for (const sequence of elf.restartableSequences()) {
    if (vaddr >= sequence.range.start && vaddr < sequence.range.end) {
      // The kernel drops a sequence whose program counter it finds elsewhere, without its abort handler.
      throw new ProbeRefused(address, "rseq-section", "it is in a restartable sequence (rseq)");
    }
  }
}

/**
 * A statement must be an instruction's beginning: a breakpoint anywhere else would change what the
 * program does. Said from the file alone; where neither a symbol nor the unwinder knows a function,
 * nothing can be said, and whoever wrote the address is believed.
 *
 * @param address what messages call it
 * @throws ProbeRefused
 */
export function refuseStatement(
  vaddr: Vaddr,
  elf: ElfImage,
  path: string,
  address = loadedAt(vaddr, 0 as LoadBias),
): void {
  const where = `${formatVaddr(vaddr)} of ${path}`;
  if (!elf.isCode(vaddr) || rangeAt(elf.dataInCode(), vaddr) !== undefined)
    throw new ProbeRefused(address, "not-code", `no instructions are at ${where}`);
  const bounds = elf.functionBounds(vaddr);
  if (bounds === undefined || bounds.start === vaddr) return;
  const body = elf.bytesAt(bounds.start, vaddr - bounds.start + MAX_INSTRUCTION_LENGTH);
  const verdict = boundaryVerdict(
    instructionStarts(body, bounds.start as number as Address),
    vaddr as number as Address,
  );
  if (verdict.kind !== "inside") return;
  const start = formatAddress(verdict.start);
  throw new ProbeRefused(address, "inside-instruction", `${where} is inside the instruction at ${start}`);
}
