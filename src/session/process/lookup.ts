import { type Address, addressOf, formatAddress, offsetBy } from "../../base/address.js";
import { TargetError, UsageError } from "../../base/errors.js";
import { closest } from "../../base/closest.js";
import { compileGlob } from "../../symbols/glob.js";
import { loadedAt, unloadedFrom } from "../../symbols/vaddr.js";
import type { Memory, SpaceId } from "../../targets/target.js";
import type { Place } from "../images.js";
import type { Where } from "../where.js";
import { refuseStatement } from "./harm.js";
import type { Image } from "./image.js";
import { selectedImplementation } from "./indirect-functions.js";

/** See {@link Images.locate}. */
export function locate(programs: Found, memory: Memory, space: SpaceId, where: Where): Place {
  return where.kind === "address"
    ? byAddress(programs, space, where.address)
    : bySymbol(programs, memory, space, where);
}

/** What is asked of programs here. */
interface Found {
  images(space: SpaceId): readonly Image[];
  at(space: SpaceId, address: Address): Image | undefined;
}

/** Does `"libc.so.6"`, `"libc*"` or a whole path name this image? */
function isModule(image: Image, pattern: string): boolean {
  const glob = compileGlob(pattern);
  const base = image.path.slice(image.path.lastIndexOf("/") + 1);
  return glob.matches(image.path) || glob.matches(base) || glob.matches(image.elf.soname ?? base);
}

function byAddress(programs: Found, space: SpaceId, value: bigint): Place {
  const address = addressOf(value);
  if (address === undefined) throw new UsageError(`0x${value.toString(16)} is no canonical address`);
  const image = programs.at(space, address);
  if (image === undefined)
    throw new TargetError(`${formatAddress(address)} is in no program or library of the target`);
  refuseStatement(unloadedFrom(address, image.bias), image.elf, image.path, address);
  return placeIn(image, address);
}

function placeIn(image: Image, address: Address): Place {
  image.refuse(address);
  return { address, fileByte: image.fileByte(address) };
}

function bySymbol(
  programs: Found,
  memory: Memory,
  space: SpaceId,
  where: Extract<Where, { kind: "symbol" }>,
): Place {
  const images = programs.images(space);
  for (const image of images) {
    if (where.module !== undefined && !isModule(image, where.module)) continue;
    // A name is no pattern here: `operator*` is a function of C++.
    const [found] = image.elf.functions(where.symbol.replace(/[*?[\\]/g, "\\$&"));
    if (found === undefined) continue;
    const entry =
      found.kind === "ifunc"
        ? selectedImplementation(image, found, images, memory)
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
