import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TargetError } from "../../src/base/errors.js";
import { ElfImage } from "../../src/symbols/elf/image.js";
import { neededLibraries } from "../../src/symbols/elf/needed-libraries.js";
import { askEverything } from "./ask-image.js";
import { elfFiles, largeFiles, linkerCaches } from "./corpus.js";
import { overwrite } from "./edits.js";
import { littleEndian, trickyInteger } from "./integers.js";
import { mutateElf } from "./mutate-elf.js";
import type { Outcome, Reader } from "./reader.js";

function outcomeOf(image: ElfImage): Outcome {
  return image.warnings.length > 0 ? "warned" : "answered";
}

/** Images in memory, files that are opened by name, and files that are cut off while they are read. */
export function elfReaders(folder: string, hasCompiler: boolean): Reader[] {
  const originals = elfFiles(folder, hasCompiler);
  const small = originals.filter(({ bytes }) => bytes.length < 200_000);
  const file = join(folder, "input");
  return [
    {
      name: "elf-bytes",
      originals,
      mutate: mutateElf,
      read(bytes, name) {
        const image = ElfImage.fromBytes(bytes, name, { debugRoots: [] });
        askEverything(image);
        return outcomeOf(image);
      },
    },
    {
      name: "elf-file",
      originals: small,
      mutate: mutateElf,
      sentence: new RegExp(file),
      read(bytes) {
        writeFileSync(file, bytes);
        using image = ElfImage.open(file, { debugRoots: [folder] });
        askEverything(image);
        return outcomeOf(image);
      },
    },
    {
      name: "elf-shrinking-file",
      originals: small,
      mutate: (original, random) => (random.once(2) ? [] : mutateElf(original, random)),
      sentence: new RegExp(file),
      read(bytes, _name, random) {
        writeFileSync(file, bytes);
        using image = ElfImage.open(file, { debugRoots: [folder] });
        if (random.once(3)) image.functions("*");
        truncateSync(file, random.below(bytes.length));
        askEverything(image);
        return outcomeOf(image);
      },
    },
    {
      name: "elf-large-file",
      originals: largeFiles(),
      mutate: mutateElf,
      read(bytes, name) {
        const image = ElfImage.fromBytes(bytes, name, { debugRoots: [] });
        image.functions("main");
        image.symbolAt(image.entry);
        return image.buildId === undefined || image.warnings.length > 0 ? "warned" : "answered";
      },
    },
    linkerCache(folder),
  ];
}

function linkerCache(folder: string): Reader {
  const path = join(folder, "cache");
  const program = ElfImage.open(process.execPath, { debugRoots: [] });
  return {
    name: "linker-cache",
    originals: linkerCaches(),
    mutate(original, random) {
      const { length } = original.bytes;
      return Array.from({ length: 1 + random.below(40) }, () => {
        // The head, the table of entries, then anything.
        const at = random.once(3) ? random.below(length) : 4 * random.below(Math.min(2000, length / 4));
        return overwrite(at, littleEndian(trickyInteger(length, random), random.pick([1, 2, 4])));
      });
    },
    read(bytes) {
      writeFileSync(path, bytes);
      const open = (library: string): ElfImage => {
        // What a damaged cache names is nobody's file to open.
        if (!/^\/(usr\/)?lib/.test(library)) throw new TargetError(`${library} is not opened here`);
        return ElfImage.open(library, { debugRoots: [] });
      };
      for (const image of neededLibraries(program, open, { cache: path })) image[Symbol.dispose]();
      return "answered";
    },
  };
}
