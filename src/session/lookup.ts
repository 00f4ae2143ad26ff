import { type Address, addressOf, formatAddress, offsetBy } from "../base/address.js";
import { TargetError, UsageError } from "../base/errors.js";
import { closest } from "../base/closest.js";
import { compileGlob } from "../symbols/glob.js";
import { loadedAt, unloadedFrom } from "../symbols/vaddr.js";
import type { SpaceId } from "../targets/target.js";
import type { Where } from "./api/protocol.js";
import type { Engine } from "./engine.js";
import { selectedImplementation } from "./indirect-functions.js";
import { refuseHarm, refuseStatement } from "./points/harm.js";
import type { Image } from "./programs.js";

export interface Place {
  readonly address: Address;
  /** First byte there in the program's file; undefined where the address is in no image. */
  readonly fileByte: number | undefined;
}

/**
 * Finds the address that a kprobe names.
 *
 * @throws TargetError no such symbol in this space, or an address where no program is
 * @throws ProbeRefused inside of an instruction, or a place that must be left alone
 */
export function locate(engine: Engine, space: SpaceId, where: Where): Place {
  return where.kind === "address" ? byAddress(engine, space, where.address) : bySymbol(engine, space, where);
}

/** Does `"libc.so.6"`, `"libc*"` or a whole path name this image? */
function isModule(image: Image, pattern: string): boolean {
  const glob = compileGlob(pattern);
  const base = image.path.slice(image.path.lastIndexOf("/") + 1);
  return glob.matches(image.path) || glob.matches(base) || glob.matches(image.elf.soname ?? base);
}

export function fileByte(image: Image, address: Address): number | undefined {
  return image.elf.bytesAt(unloadedFrom(address, image.bias), 1)[0];
}

function byAddress(engine: Engine, space: SpaceId, value: bigint): Place {
  const address = addressOf(value);
  if (address === undefined) throw new UsageError(`0x${value.toString(16)} is no canonical address`);
  const image = engine.programs.at(space, address);
  if (image === undefined)
    throw new TargetError(`${formatAddress(address)} is in no program or library of the target`);
  refuseStatement(unloadedFrom(address, image.bias), image.elf, image.path, address);
  return placeIn(image, address);
}

function placeIn(image: Image, address: Address): Place {
  refuseHarm(image, address);
  return { address, fileByte: fileByte(image, address) };
}

function bySymbol(engine: Engine, space: SpaceId, where: Extract<Where, { kind: "symbol" }>): Place {
  const images = engine.programs.images(space);
  for (const image of images) {
    if (where.module !== undefined && !isModule(image, where.module)) continue;
    // A name is no pattern here: `operator*` is a function of C++.
    const [found] = image.elf.functions(where.symbol.replace(/[*?[\\]/g, "\\$&"));
    if (found === undefined) continue;
    const entry =
      found.kind === "ifunc"
        ? selectedImplementation(image, found, images, engine.target.memory(space))
        : loadedAt(found.vaddr, image.bias);
    if (entry === undefined) continue;
    const address = offsetBy(entry, where.offset);
    if (where.offset !== 0)
      refuseStatement(unloadedFrom(address, image.bias), image.elf, image.path, address);
    return placeIn(image, address);
  }
  const inModule = where.module === undefined ? "in the program and its libraries" : `in ${where.module}`;
  const near = closest(where.symbol, namesIn(images, where.module));
  throw new TargetError(
    near === undefined
      ? `no function ${where.symbol} ${inModule}`
      : `no function ${where.symbol} ${inModule}: did you mean ${near}?`,
    { remedy: "libraries that are loaded later can be probed after they were loaded" },
  );
}

function* namesIn(images: readonly Image[], module: string | undefined): Generator<string> {
  for (const image of images) {
    if (module !== undefined && !isModule(image, module)) continue;
    for (const { names } of image.elf.functions("*")) yield* names;
  }
}
