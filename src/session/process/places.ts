import { type Address, offsetBy } from "../../base/address.js";
import type { FunctionLocation } from "../../symbols/elf/functions.js";
import { matchesLibrary } from "../../symbols/programs.js";
import { loadedAt, unloadedFrom, type Vaddr } from "../../symbols/vaddr.js";
import type { Memory } from "../../targets/target.js";
import type { Found, TextPlace, Waiting } from "../images.js";
import type { TextPoint } from "../points/point.js";
import type { ProgramNames } from "../program-names.js";
import { refuseStatement } from "./harm.js";
import type { Image } from "./image.js";
import { selectedImplementation } from "./indirect-functions.js";

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

/** @throws ProbeRefused a statement that is no instruction's beginning */
export function placesIn(point: TextPoint, image: Image, images: readonly Image[], memory: Memory): Found {
  switch (point.kind) {
    case "statement":
      return { places: [statementIn(Number(point.vaddr) as Vaddr, image)], waiting: [] };
    case "offset": {
      const found = placesOf(image.elf.functions(point.functions), image, images, memory);
      const statements = found.places.map(({ address }) =>
        statementIn(unloadedFrom(offsetBy(address, point.offset), image.bias), image),
      );
      return { places: statements, waiting: [] };
    }
    case "function":
      return placesOf(image.elf.functions(point.functions), image, images, memory);
  }
}

/** Where functions of an image are entered now. */
function placesOf(
  functions: readonly FunctionLocation[],
  image: Image,
  images: readonly Image[],
  memory: Memory,
): Found {
  const places = new Map<Address, TextPlace>();
  const waiting: Waiting[] = [];
  const add = (place: TextPlace): void => {
    if (!places.has(place.address)) places.set(place.address, place);
  };
  for (const found of functions) {
    if (found.kind !== "ifunc") {
      add(placeOf(found, image, loadedAt(found.vaddr, image.bias)));
      continue;
    }
    const indirect = indirectPlace(found, image, images);
    const place = indirect.look(memory);
    if (place === undefined) waiting.push(indirect);
    else add(place);
  }
  return { places: [...places.values()], waiting };
}

function indirectPlace(found: FunctionLocation, image: Image, images: readonly Image[]): Waiting {
  return {
    resolver: loadedAt(found.vaddr, image.bias),
    look: (memory) => {
      const selected = selectedImplementation(image, found, images, memory);
      return selected === undefined ? undefined : placeOf(found, image, selected);
    },
    placeAt: (selected) => placeOf(found, image, selected),
  };
}

/** @param address of the function, or of the implementation that it selected */
function placeOf(found: FunctionLocation, image: Image, address: Address): TextPlace {
  return { address, image, name: found.name, fileByte: image.fileByte(address) };
}

function statementIn(vaddr: Vaddr, image: Image): TextPlace {
  const address = loadedAt(vaddr, image.bias);
  refuseStatement(vaddr, image.elf, image.path, address);
  return { address, image, name: image.nameAt(address), fileByte: image.fileByte(address) };
}
