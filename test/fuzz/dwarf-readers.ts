import assert from "node:assert/strict";
import { TargetError } from "../../src/base/errors.js";
import { Dwarf } from "../../src/symbols/dwarf/dwarf.js";
import { ElfImage } from "../../src/symbols/elf/image.js";
import type { LocalVariable } from "../../src/symbols/types/location.js";
import type { Vaddr } from "../../src/symbols/vaddr.js";
import { CLANG_BUILDS, clangBuild } from "../symbols/dwarf/clang-programs.js";
import { type Edit, overwrite } from "./edits.js";
import { littleEndian, trickyInteger } from "./integers.js";
import { askType } from "./kernel-readers.js";
import { mutateElf } from "./mutate-elf.js";
import type { Random } from "./random.js";
import type { Original, Reader } from "./reader.js";

const NAMED = [
  "sample",
  "pair",
  "inner",
  "colour",
  "word",
  "int",
  "char",
  "summed",
  "samples",
  "hidden",
  "nothing",
];

/** Debug information: a program's sections of it, damaged. */
export function dwarfReaders(): Reader[] {
  const originals = CLANG_BUILDS.map((name) => ({ name, bytes: clangBuild(name) }));
  return [
    {
      name: "dwarf",
      originals,
      mutate: (original, random) => [
        ...(random.once(8) ? mutateElf(original, random) : []),
        ...changes(original, random),
      ],
      read(bytes, name) {
        using elf = ElfImage.fromBytes(bytes, name, { debugRoots: [] });
        const dwarf = Dwarf.of(elf);
        return dwarf !== undefined && askDwarf(dwarf, name) ? "warned" : "answered";
      },
    },
  ];
}

const ranges = new WeakMap<Buffer, readonly { readonly offset: number; readonly size: number }[]>();

/** Where debug information is in the file; it is small, and hit by chance too seldom. */
function sectionsOf({
  bytes,
  name,
}: Original): readonly { readonly offset: number; readonly size: number }[] {
  const known = ranges.get(bytes);
  if (known !== undefined) return known;
  using elf = ElfImage.fromBytes(bytes, name, { debugRoots: [] });
  const found = elf.sections.filter(
    (section) => section.size > 0 && (section.name.startsWith(".debug_") || section.name === ".eh_frame"),
  );
  ranges.set(bytes, found);
  return found;
}

/** One to six numbers, bits or pieces of sections of debug information. */
function changes(original: Original, random: Random): Edit[] {
  const { bytes } = original;
  const edits: Edit[] = [];
  for (let round = 0, rounds = 1 + random.below(6); round < rounds; round += 1) {
    const section = random.pick(sectionsOf(original));
    const at = section.offset + random.below(section.size);
    const room = section.offset + section.size - at;
    switch (random.below(6)) {
      case 0:
        edits.push(overwrite(at, Buffer.of((bytes[at] ?? 0) ^ (1 << random.below(8)))));
        break;
      case 1:
        edits.push(
          overwrite(
            at,
            littleEndian(trickyInteger(bytes.length, random), Math.min(random.pick([1, 2, 4, 8]), room)),
          ),
        );
        break;
      case 2:
        // A number that has no end.
        edits.push(overwrite(at, Buffer.alloc(Math.min(1 + random.below(20), room), 0xff)));
        break;
      case 3:
        // One that refers to something else of its kind.
        edits.push(
          overwrite(
            at,
            littleEndian(BigInt(random.below(section.size)), Math.min(random.pick([1, 2, 4]), room)),
          ),
        );
        break;
      case 4:
        edits.push(overwrite(at, Buffer.of(random.below(256))));
        break;
      default: {
        const from = section.offset + random.below(section.size);
        const length = Math.min(1 + random.below(64), room, section.offset + section.size - from);
        edits.push(overwrite(at, Buffer.from(bytes.subarray(from, from + length))));
      }
    }
  }
  return edits;
}

/** Asks for everything. @returns was anything refused? */
function askDwarf(dwarf: Dwarf, name: string): boolean {
  let refused = 0;
  const ask = (question: () => unknown): void => {
    try {
      question();
    } catch (error) {
      if (!(error instanceof TargetError) || !error.message.includes(name)) throw error;
      refused += 1;
    }
  };
  for (const each of NAMED) {
    for (const kind of ["struct", "union", "enum", "alias", "integer"] as const)
      ask(() => {
        const type = dwarf.types.named(kind, each);
        if (type !== undefined) askType(type, 0);
      });
    ask(() => {
      const type = dwarf.prototype(each);
      if (type !== undefined) askType(type, 0);
    });
    ask(() => {
      const variable = dwarf.variable(each, 0x401040 as Vaddr);
      if (variable !== undefined) askType(variable.type, 0);
    });
  }
  for (let at = 0x401000; at < 0x401320; at += 37) {
    const vaddr = at as Vaddr;
    ask(() => dwarf.functionAt(vaddr)?.prototype.parameters.length);
    ask(() => {
      for (const local of dwarf.variablesAt(vaddr) ?? []) askVariable(local);
    });
  }
  return refused > 0;
}

function askVariable(local: LocalVariable): void {
  assert.ok(local.name !== "");
  // What is made of a place must be small enough for a handler.
  assert.ok(
    JSON.stringify(local.location, (_key, value: unknown) =>
      typeof value === "bigint" ? Number(value) : value,
    ).length < 200_000,
  );
  askType(local.type, 1);
}
