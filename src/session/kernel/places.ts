import { boundaryVerdict, instructionStarts, MAX_INSTRUCTION_LENGTH } from "../../arch/x86_64/decode.js";
import { type Address, addressOf, formatAddress, offsetBy } from "../../base/address.js";
import { ProbeRefused } from "../../base/errors.js";
import { compileGlob } from "../../symbols/glob.js";
import type { KernelFunction } from "../../symbols/kernel/functions.js";
import { loadedAt, unloadedFrom } from "../../symbols/vaddr.js";
import type { TextPlace } from "../images.js";
import type { TextPoint } from "../points/point.js";
import { codeKey, placeKey } from "./code-key.js";
import type { LoadedCode } from "./loaded-code.js";

/** Text as it is in memory without breakpoints of ours. @returns bytes read */
export type ReadText = (at: Address, into: Uint8Array) => number;

/** The images that a point is about: the kernel, or modules by a pattern. */
export function isAbout(point: TextPoint, image: LoadedCode): boolean {
  const { program } = point;
  if (program.kind === "kernel") return image.source.name === "kernel";
  return program.kind === "module" && compileGlob(program.module).matches(image.source.name);
}

/**
 * What a point names in an image.
 *
 * @throws ProbeRefused a statement that is no instruction's beginning, or in no code
 */
export function placesIn(point: TextPoint, image: LoadedCode, read: ReadText): readonly TextPlace[] {
  switch (point.kind) {
    case "function":
      return image.source.code
        .functions(point.functions)
        .filter(({ exported }) => point.exported !== true || exported)
        .map((found) => functionPlace(found, image));
    case "offset":
      return image.source.code.functions(point.functions).map((found) => {
        const start = loadedAt(found.vaddr, image.bias);
        refuseOffsetIn(found, start, point.offset, read);
        return statementPlace(offsetBy(start, point.offset), image, read);
      });
    case "statement": {
      const address = addressOf(point.vaddr);
      if (address === undefined)
        throw new ProbeRefused(
          0 as Address,
          "not-code",
          `0x${point.vaddr.toString(16)} is no canonical address`,
        );
      return image.holds(address) ? [statementPlace(address, image, read)] : [];
    }
  }
}

/** Where a function's handler runs. */
export function functionPlace(found: KernelFunction, image: LoadedCode): TextPlace {
  const address = image.entryOf(found);
  return {
    address,
    image,
    name: found.name,
    fileByte: image.fileByte(address),
    code: codeKey(image.source.name, found.name),
  };
}

/** @throws ProbeRefused inside of an instruction */
export function statementPlace(address: Address, image: LoadedCode, read: ReadText): TextPlace {
  const vaddr = unloadedFrom(address, image.bias);
  const symbol = image.source.code.symbolAt(vaddr);
  if (symbol === undefined)
    throw new ProbeRefused(address, "not-code", `no function is known at ${formatAddress(address)}`);
  refuseInside(address, loadedAt(symbol.start, image.bias), symbol.name, read);
  return {
    address,
    image,
    name: image.nameAt(address),
    fileByte: image.fileByte(address),
    code: placeKey(image.source.name, vaddr),
  };
}

/** @throws ProbeRefused the function is not that long, or no instruction begins there */
export function refuseOffsetIn(
  { name, size }: KernelFunction,
  start: Address,
  offset: number,
  read: ReadText,
): void {
  if (offset >= size) {
    const detail = `${name} has ${String(size)} bytes, and ends before +0x${offset.toString(16)}`;
    throw new ProbeRefused(offsetBy(start, offset), "not-code", detail);
  }
  refuseInside(offsetBy(start, offset), start, name, read);
}

/** By the text as it is in memory: a kernel changes its own when it boots. */
function refuseInside(address: Address, start: Address, name: string, read: ReadText): void {
  if (address === start) return;
  const body = new Uint8Array(address - start + MAX_INSTRUCTION_LENGTH);
  const length = read(start, body);
  const verdict = boundaryVerdict(instructionStarts(body.subarray(0, length), start), address);
  if (verdict.kind !== "inside") return;
  const inside = `+0x${(verdict.start - start).toString(16)}`;
  const detail = `${name}+0x${(address - start).toString(16)} is inside the instruction at ${name}${inside}`;
  throw new ProbeRefused(address, "inside-instruction", detail);
}
