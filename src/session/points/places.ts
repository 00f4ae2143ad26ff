import type { Address } from "../../base/address.js";
import type { FunctionLocation } from "../../symbols/elf/functions.js";
import { matchesLibrary } from "../../symbols/programs.js";
import { loadedAt, unloadedFrom, type Vaddr } from "../../symbols/vaddr.js";
import type { Memory } from "../../targets/target.js";
import { selectedImplementation } from "../indirect-functions.js";
import { fileByte } from "../lookup.js";
import type { Image } from "../programs.js";
import { refuseStatement } from "./harm.js";
import type { TextPoint } from "./point.js";

/** Programs that run, and where they are on disk: what `process` and `process("PATH")` mean now. */
export interface ProgramNames {
  /** Real path of the target's main program. */
  readonly target: string | undefined;
  /** Real path of `process("PATH")`. */
  resolve(path: string): string;
}

/** The images of a space that a point is about. */
export function imagesOf(point: TextPoint, images: readonly Image[], names: ProgramNames): readonly Image[] {
  const { program, library } = point;
  const path =
    program.kind === "path"
      ? names.resolve(program.path)
      : program.kind === "target"
        ? names.target
        : undefined;
  const own = images.filter((image) => (path === undefined ? image.isMain : image.path === path));
  if (library === undefined || own.length === 0) return own;
  return images.filter(
    (image) => !image.isMain && matchesLibrary(library, { path: image.path, soname: () => image.elf.soname }),
  );
}

/** One place that a point names, in one image of one space. */
export interface TextPlace {
  readonly address: Address;
  readonly fileByte: number | undefined;
  readonly image: Image;
  /** Of the function, for messages. */
  readonly name: string;
}

/** What a point names in an image. */
export interface Found {
  readonly places: readonly TextPlace[];
  /** IFUNCs whose implementation is not selected yet, as far as can be read. */
  readonly waiting: readonly FunctionLocation[];
}

/** @throws ProbeRefused a statement that is no instruction's beginning */
export function placesIn(point: TextPoint, image: Image, images: readonly Image[], memory: Memory): Found {
  if (point.kind === "statement")
    return { places: [statementIn(Number(point.vaddr) as Vaddr, image)], waiting: [] };
  return placesOf(image.elf.functions(point.functions), image, images, memory);
}

/** Where functions of an image are entered now. */
export function placesOf(
  functions: readonly FunctionLocation[],
  image: Image,
  images: readonly Image[],
  memory: Memory,
): Found {
  const places = new Map<Address, TextPlace>();
  const waiting: FunctionLocation[] = [];
  for (const found of functions) {
    const address = entryOf(found, image, images, memory);
    if (address === undefined) waiting.push(found);
    else if (!places.has(address)) places.set(address, placeOf(found, image, address));
  }
  return { places: [...places.values()], waiting };
}

/** @param address of the function, or of the implementation that it selected */
export function placeOf(found: FunctionLocation, image: Image, address: Address): TextPlace {
  return { address, image, name: found.name, fileByte: fileByte(image, address) };
}

function entryOf(
  found: FunctionLocation,
  image: Image,
  images: readonly Image[],
  memory: Memory,
): Address | undefined {
  return found.kind === "ifunc"
    ? selectedImplementation(image, found, images, memory)
    : loadedAt(found.vaddr, image.bias);
}

function statementIn(vaddr: Vaddr, image: Image): TextPlace {
  const address = loadedAt(vaddr, image.bias);
  refuseStatement(vaddr, image.elf, image.path, address);
  return { address, image, name: nameAt(image, address), fileByte: fileByte(image, address) };
}

/** The function that an address of an image belongs to; `"<unknown>"` where no symbol tells. */
export function nameAt(image: Image, address: Address): string {
  return image.elf.symbolAt(unloadedFrom(address, image.bias))?.name ?? "<unknown>";
}
