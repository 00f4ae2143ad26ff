import type { Address } from "../../base/address.js";
import { ProbeRefused } from "../../base/errors.js";
import { boundaryVerdict, instructionStarts, MAX_INSTRUCTION_LENGTH } from "../../arch/x86_64/decode.js";
import { formatVaddr, loadedAt, unloadedFrom } from "../../symbols/vaddr.js";
import type { Image } from "../programs.js";

/**
 * Refuses places where a displaced instruction would do harm that the instruction itself does not
 * tell.
 *
 * @throws ProbeRefused
 */
export function refuseHarm(image: Image, address: Address): void {
  const vaddr = unloadedFrom(address, image.bias);
  for (const sequence of image.elf.restartableSequences()) {
    if (vaddr >= sequence.range.start && vaddr < sequence.range.end) {
      // The kernel drops a sequence whose program counter it finds elsewhere, without its abort handler.
      throw new ProbeRefused(address, "rseq-section", "it is in a restartable sequence (rseq)");
    }
  }
}

/**
 * Refuses an address in the middle of an instruction, as far as the function around it can be
 * decoded: a breakpoint there would make it another one.
 *
 * @throws ProbeRefused
 */
export function refuseInsideInstruction(image: Image, address: Address): void {
  const vaddr = unloadedFrom(address, image.bias);
  const bounds = image.elf.functionBounds(vaddr);
  if (bounds === undefined || bounds.start >= vaddr) return;
  const body = image.elf.bytesAt(bounds.start, vaddr - bounds.start + MAX_INSTRUCTION_LENGTH);
  const starts = instructionStarts(body, loadedAt(bounds.start, image.bias));
  if (boundaryVerdict(starts, address).kind === "inside") {
    throw new ProbeRefused(
      address,
      "inside-instruction",
      `${formatVaddr(vaddr)} of ${image.path} is inside an instruction`,
    );
  }
}
