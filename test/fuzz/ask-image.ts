import assert from "node:assert/strict";
import type { Address } from "../../src/base/address.js";
import { dynamicLinkerFacts } from "../../src/symbols/elf/dynamic-linker.js";
import type { ElfImage } from "../../src/symbols/elf/image.js";
import type { Vaddr } from "../../src/symbols/vaddr.js";

const PAGE = 0x1000;

/** Asks an image for everything that it can tell, and what it tells for its sense. */
export function askEverything(image: ElfImage): void {
  askNames(image);
  const addresses: Vaddr[] = [image.entry, 0 as Vaddr, -1 as Vaddr, (2 ** 60) as Vaddr];
  for (const one of image.functions("*")) {
    assert.ok(Number.isFinite(one.vaddr) && one.end >= one.vaddr, `${one.name} ends before it starts`);
    addresses.push(one.vaddr, one.end);
  }
  for (const { start, length } of image.frameDescriptions().slice(0, 200))
    addresses.push(start, (start + length) as Vaddr);
  for (const vaddr of addresses.slice(0, 2000)) askAddress(image, vaddr);
  for (const range of image.code)
    assert.ok(range.end >= range.start, "a range of code ends before it starts");
  for (const relocation of image.relocations) image.relocations.symbolName(relocation);
  image.relocations.slotsOfResolver(image.functions("chosen")[0]?.vaddr ?? image.entry);
  image.relocations.slotsOfSymbol(["puts"]);
  image.restartableSequences();
  image.pltStubs();
  image.dataInCode();
  image.debugFile();
  dynamicLinkerFacts(image);
  const mappings = Array.from({ length: 8 }, (_, index) => ({
    start: (0x7f0000000000 + index * PAGE) as Address,
    end: (0x7f0000000000 + (index + 1) * PAGE) as Address,
    offset: index * PAGE,
    executable: index % 2 === 1,
    path: image.realPath,
  }));
  image.loadBiases(mappings);
  for (const warning of image.warnings) {
    assert.ok(warning.includes(image.path), `a warning that does not name the file: ${warning}`);
  }
}

function askNames(image: ElfImage): void {
  image.functions("main");
  image.functions("[a-m]*");
  let characters = 0;
  for (const symbol of image.symbols()) characters += symbol.name.length;
  for (const symbol of image.symbolsNamed("puts")) characters += symbol.name.length;
  for (const section of image.sections) {
    if (section.name.startsWith(".note") || section.name === "") continue;
    characters += section.name.length;
  }
  const texts = [image.interpreter, image.soname, image.buildId, ...image.needed, ...image.runPath];
  for (const text of texts) characters += text?.length ?? 0;
  assert.ok(characters >= 0 && typeof image.isStatic === "boolean" && image.pltRanges.length >= 0);
}

function askAddress(image: ElfImage, vaddr: Vaddr): void {
  image.symbolAt(vaddr);
  image.isCode(vaddr);
  const bounds = image.functionBounds(vaddr);
  if (bounds !== undefined) assert.ok(bounds.end >= bounds.start, "a function ends before it starts");
  try {
    assert.ok(image.bytesAt(vaddr, 16).length <= 16);
  } catch (error) {
    refusedByName(error, image.path);
  }
  image.vaddrAt(image.fileOffset(vaddr) ?? 0);
}

/** A damaged segment is refused when its bytes are asked for, by name. */
function refusedByName(error: unknown, path: string): void {
  if (!(error instanceof Error) || error.constructor.name !== "TargetError" || !error.message.includes(path))
    throw error;
}
