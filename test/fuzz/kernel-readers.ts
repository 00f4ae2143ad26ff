import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import type { Address } from "../../src/base/address.js";
import { TargetError } from "../../src/base/errors.js";
import { BtfTypes } from "../../src/symbols/btf/types.js";
import type { KernelCode } from "../../src/symbols/kernel/code.js";
import { KernelImage } from "../../src/symbols/kernel/image.js";
import type { LiveMemory } from "../../src/symbols/kernel/live.js";
import { loadedModules } from "../../src/symbols/kernel/modules.js";
import { unwindStep } from "../../src/symbols/kernel/unwind.js";
import { findMember, sizeOf } from "../../src/symbols/types/members.js";
import { resolved, type Type } from "../../src/symbols/types/type.js";
import type { LoadBias, Vaddr } from "../../src/symbols/vaddr.js";
import { bootImage } from "../symbols/kernel/boot-image.js";
import { makeKernel, SHAPE, TEXT } from "../symbols/kernel/make-kernel.js";
import { makeModules } from "../symbols/kernel/make-modules.js";
import { type Edit, overwrite, truncateAt } from "./edits.js";
import { littleEndian, trickyInteger } from "./integers.js";
import { mutateElf } from "./mutate-elf.js";
import type { Random } from "./random.js";
import type { Original, Reader } from "./reader.js";

const SHAPES = [
  SHAPE,
  { ...SHAPE, sections: false },
  { ...SHAPE, symtab: true },
  { ...SHAPE, layout: { offsets: "behind", sequence: "end", perCpu: true }, orc: "6.4" },
  {
    ...SHAPE,
    layout: { offsets: "before", sequence: "markers", perCpu: false },
    orc: "6.3",
    sections: false,
  },
] as const;

const PACKERS: readonly (readonly [string, ...string[]])[] = [
  ["gzip", "-n"],
  ["lz4", "-l"],
  ["xz", "--check=crc32", "--x86", "--lzma2"],
  ["xz", "--format=lzma"],
  ["bzip2"],
  ["zstd", "-q"],
];

/** Kernels, as files and packed; types by themselves. */
export function kernelReaders(): Reader[] {
  const kernels = SHAPES.map((shape, index) => ({
    name: `kernel ${String(index)}`,
    bytes: makeKernel(shape),
  }));
  const btf = typesOf(kernels[0]?.bytes);
  return [
    {
      name: "kernel-image",
      originals: kernels,
      mutate: (original, random) => [
        ...(random.once(2) ? mutateElf(original, random) : []),
        ...changes(original, random),
      ],
      read(bytes, name) {
        using image = KernelImage.fromBytes(bytes, name);
        askKernel(image);
        return image.elf.warnings.length > 0 ? "warned" : "answered";
      },
    },
    {
      name: "kernel-payload",
      originals: packed(kernels[0]?.bytes),
      mutate: (original, random) => changes(original, random),
      read(bytes, name) {
        using image = KernelImage.fromBytes(bytes, name);
        assert.ok(image.text.length > 0 || image.elf.segments.length >= 0);
        return "answered";
      },
    },
    {
      name: "btf",
      originals: [{ name: "types", bytes: btf }],
      mutate: (original, random) => changes(original, random),
      read(bytes, name) {
        const types = BtfTypes.parse(bytes, name);
        askTypes(types);
        askTypes(BtfTypes.parse(bytes, name, types));
        return "answered";
      },
    },
    modulesReader("6.1"),
    modulesReader("6.4"),
  ];
}

/** Memory of a running kernel: what it says of its modules. */
function modulesReader(layout: "6.1" | "6.4"): Reader {
  const image = KernelImage.fromBytes(makeKernel({ ...SHAPE, orc: layout }), "made");
  const table = image.btf?.table;
  assert.ok(table !== undefined);
  const { at, bytes: memory } = makeModules(layout, table);
  return {
    name: `kernel-modules-${layout}`,
    originals: [{ name: "memory", bytes: memory }],
    mutate: (original, random) => changes(original, random),
    sentence: /kernel|module/,
    read(bytes) {
      const live: LiveMemory = {
        readSome(from, into) {
          const start = from - at;
          return start < 0 || start >= bytes.length ? 0 : bytes.copy(into, 0, start, start + into.length);
        },
      };
      const { modules, damage } = loadedModules(image, live, 0 as LoadBias);
      for (const module of modules.slice(0, 4)) askCode(module, (module.base - 64) as Vaddr, /kernel|module/);
      return damage === undefined ? "answered" : "warned";
    },
  };
}

function typesOf(kernel: Buffer | undefined): Buffer {
  assert.ok(kernel !== undefined);
  const image = KernelImage.fromBytes(kernel, "made");
  const range = image.section(".BTF");
  assert.ok(range !== undefined);
  return Buffer.from(image.bytesAt(range.start, range.end - range.start));
}

/** Only where the programs are; those that are not there are not missed. */
function packed(kernel: Buffer | undefined): Original[] {
  assert.ok(kernel !== undefined);
  return PACKERS.flatMap(([name, ...words]) => {
    const { status, stdout } = spawnSync(name, [...words, "-c"], { input: kernel });
    if (status !== 0) return [];
    const payload = name === "gzip" ? stdout.subarray(0, -4) : stdout;
    return [{ name: [name, ...words].join(" "), bytes: bootImage(payload, kernel.length) }];
  });
}

/** Numbers that lead elsewhere, bits, pieces moved, a cut. */
function changes({ bytes }: Original, random: Random): Edit[] {
  const edits: Edit[] = [];
  const rounds = 1 + random.below(8);
  for (let round = 0; round < rounds; round += 1) {
    const at = random.below(bytes.length);
    switch (random.below(5)) {
      case 0:
        edits.push(overwrite(at, Buffer.of((bytes[at] ?? 0) ^ (1 << random.below(8)))));
        break;
      case 1: {
        const place = at & ~3;
        const size = Math.min(random.pick([1, 2, 4]), bytes.length - place);
        edits.push(overwrite(place, littleEndian(trickyInteger(bytes.length, random), size)));
        break;
      }
      case 2: {
        // One type's number for another's.
        const place = Math.min(at & ~3, bytes.length - 4);
        edits.push(overwrite(Math.max(0, place), littleEndian(BigInt(random.below(32)), 4)));
        break;
      }
      case 3: {
        const from = random.below(bytes.length);
        const length = Math.min(1 + random.below(256), bytes.length - Math.max(from, at));
        edits.push(overwrite(at, Buffer.from(bytes.subarray(from, from + length))));
        break;
      }
      default:
        if (random.once(6)) edits.push(truncateAt(at, bytes.length));
    }
  }
  return edits;
}

/** Asks a kernel for everything that it can tell; what it refuses it refuses by name. */
function askKernel(image: KernelImage): void {
  const sentence = new RegExp(image.path);
  refusedByName(() => image.banner, sentence);
  refusedByName(() => image.offsetOf("node", "name"), sentence);
  refusedByName(() => image.btf && askTypes(image.btf), sentence);
  askCode(image, (TEXT - 64) as Vaddr, sentence);
}

function askCode(code: KernelCode, from: Vaddr, sentence: RegExp): void {
  const questions: (() => unknown)[] = [
    () => code.functions("*").length,
    () => code.functions("made_1?"),
    () => [...code.symbols()].length,
    () => code.variable("counter_of_each"),
    () => code.prototype("made_1")?.parameters.length,
    () => code.types?.named("struct", "node"),
  ];
  for (const question of questions) refusedByName(question, sentence);
  for (let at = from as number; at < from + 0x3000; at += 61) {
    const vaddr = at as Vaddr;
    refusedByName(() => code.symbolAt(vaddr), sentence);
    refusedByName(() => code.forbidden(vaddr), sentence);
    refusedByName(() => code.fixup(vaddr), sentence);
    refusedByName(() => unwindFrom(code, vaddr), sentence);
  }
}

function refusedByName(question: () => unknown, sentence: RegExp): void {
  try {
    question();
  } catch (error) {
    if (!(error instanceof TargetError) || !sentence.test(error.message)) throw error;
  }
}

function unwindFrom(image: KernelCode, vaddr: Vaddr): void {
  let frame = { pc: vaddr as number as Address, sp: (TEXT + 0x100) as Address, bp: 1n, interrupted: true };
  for (let depth = 0; depth < 50; depth += 1) {
    const step = unwindStep(frame, {
      entryAt: (pc) => image.unwind?.at(pc as number as Vaddr),
      word: (at) => BigInt.asUintN(64, BigInt(at + 8)),
    });
    if (step.kind === "end") return;
    frame = { ...step.frame };
  }
}

const MOST_TYPES = 400;

function askTypes(types: BtfTypes): void {
  for (const kind of ["struct", "union", "enum", "alias", "integer"] as const)
    for (const name of ["node", "int", "char", ""]) types.named(kind, name);
  types.prototype("made_1");
  types.variable("counter_of_each");
  for (let id = 0; id < Math.min(types.table.end, MOST_TYPES); id += 1) askType(types.type(id), 0);
}

export function askType(type: Type, depth: number): void {
  const known = resolved(type);
  const size = sizeOf(type);
  assert.ok(size === undefined || size >= 0);
  if (depth > 2) return;
  switch (known.kind) {
    case "pointer":
      askType(known.to, depth + 1);
      break;
    case "array":
      askType(known.of, depth + 1);
      break;
    case "struct":
    case "union":
      assert.ok(known.name.length >= 0);
      findMember(known, "no such member");
      for (const member of known.members.slice(0, 20)) {
        assert.ok(member.bitOffset >= 0 && (member.bitSize ?? 1) > 0);
        askType(member.type, depth + 1);
      }
      break;
    case "function":
      askType(known.returns, depth + 1);
      for (const { type: parameter } of known.parameters.slice(0, 20)) askType(parameter, depth + 1);
      break;
    case "enum":
      assert.ok(known.values.every(({ value }) => typeof value === "bigint"));
      break;
    case "void":
    case "integer":
    case "float":
      break;
  }
}
