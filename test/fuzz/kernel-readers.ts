import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import type { Address } from "../../src/base/address.js";
import { TargetError } from "../../src/base/errors.js";
import { BtfTypes } from "../../src/symbols/btf/types.js";
import { KernelImage } from "../../src/symbols/kernel/image.js";
import { unwindStep } from "../../src/symbols/kernel/unwind.js";
import { findMember, sizeOf } from "../../src/symbols/types/members.js";
import { resolved, type Type } from "../../src/symbols/types/type.js";
import type { Vaddr } from "../../src/symbols/vaddr.js";
import { bootImage } from "../symbols/kernel/boot-image.js";
import { makeKernel, SHAPE, TEXT } from "../symbols/kernel/make-kernel.js";
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
  ];
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
  const asked: unknown[] = [];
  const ask = (question: () => unknown): void => {
    try {
      asked.push(question());
    } catch (error) {
      if (!(error instanceof TargetError) || !error.message.includes(image.path)) throw error;
    }
  };
  ask(() => image.banner);
  ask(() => image.functions("*").length);
  ask(() => image.functions("made_1?"));
  ask(() => [...image.symbols()].length);
  for (let at = TEXT - 64; at < TEXT + 0x3000; at += 61) {
    const vaddr = at as Vaddr;
    ask(() => image.symbolAt(vaddr));
    ask(() => image.forbidden(vaddr));
    ask(() => image.fixup(vaddr));
    ask(() => unwindFrom(image, vaddr));
  }
  ask(() => image.offsetOf("node", "name"));
  ask(() => image.variable("counter_of_each"));
  ask(() => image.prototype("made_1")?.parameters.length);
  ask(() => image.btf && askTypes(image.btf));
}

function unwindFrom(image: KernelImage, vaddr: Vaddr): void {
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

function askType(type: Type, depth: number): void {
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
