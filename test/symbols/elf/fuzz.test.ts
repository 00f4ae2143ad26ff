import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Address } from "../../../src/base/address.js";
import { TraplineError } from "../../../src/base/errors.js";
import { dynamicLinkerFacts } from "../../../src/symbols/elf/dynamic-linker.js";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import type { Vaddr } from "../../../src/symbols/vaddr.js";
import { build, needsGcc, run, temporaryFolder } from "../build-programs.js";

const folder = temporaryFolder();
const CASES = 2000;
const SEED = 20_050_517;
/** Generous: a case takes a few milliseconds, and the machine may be busy. */
const MOST_MILLISECONDS = 5000;
const MOST_BYTES = 256 * 1024 * 1024;

const PROGRAM = `
  #include <stdio.h>
  typedef int fn(int);
  static __attribute__((noinline)) int quick(int x) { return x + 1; }
  static fn *select_it(void) { return quick; }
  int chosen(int x) __attribute__((ifunc("select_it")));
  int main(int argc, char **argv) { puts(argv[0]); return chosen(argc); }
  __asm__(".pushsection __rseq_cs, \\"aw\\"; .balign 32; .long 0, 0; .quad main, 4, chosen; .popsection");
  __asm__(".pushsection __rseq_cs_ptr_array, \\"aw\\"; .quad main; .popsection");
`;

/** Numbers that parsers trip over. */
const TRICKY = [
  0n, 1n, 7n, 0x7fn, 0xffn, 0x7fffn, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n,
  0x7fffffffffffn, 0x800000000000n, 0x1fffffffffffffn, 0x20000000000000n, 0x7fffffffffffffffn,
  0x8000000000000000n, 0xfffffffffffffff8n, 0xffffffffffffffffn,
] as const; // prettier-ignore

/** mulberry32: the same numbers from the same seed everywhere. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

interface Region {
  readonly start: number;
  readonly end: number;
}

/** Headers and tables: what is parsed. Text is left alone mostly, nothing looks at it. */
function regionsOf(bytes: Buffer): Region[] {
  const image = ElfImage.fromBytes(bytes, "whole");
  const sectionHeaders = Number(bytes.readBigUInt64LE(40));
  const regions = image.sections
    .filter((section) => !section.executable && section.type !== 8 && section.size > 0)
    .map((section) => ({ start: section.offset, end: section.offset + section.size }));
  const headers = [
    { start: 0, end: 64 },
    { start: 64, end: 64 + 56 * image.segments.length },
    { start: sectionHeaders, end: bytes.length },
  ];
  // Headers lead everywhere: they get as many mutations as all contents together.
  return [...regions, ...regions.flatMap((_, index) => headers[index % headers.length] ?? [])];
}

function mutate(original: Buffer, regions: readonly Region[], random: (below: number) => number): Buffer {
  const bytes = Buffer.from(original);
  const rounds = 1 + random(6);
  for (let round = 0; round < rounds; round += 1) {
    const region = regions[random(regions.length)] ?? { start: 0, end: bytes.length };
    const at = Math.min(region.start + random(region.end - region.start), bytes.length - 8);
    switch (random(6)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
        break;
      case 2:
        bytes.writeBigUInt64LE(TRICKY[random(TRICKY.length)] ?? 0n, Math.floor(at / 8) * 8);
        break;
      case 3:
        bytes.writeUInt32LE(
          Number(BigInt.asUintN(32, TRICKY[random(TRICKY.length)] ?? 0n)),
          Math.floor(at / 4) * 4,
        );
        break;
      case 4:
        bytes.fill(random(2) === 0 ? 0 : 0xff, at, Math.min(at + 1 + random(64), bytes.length));
        break;
      default:
        bytes.copyWithin(at, random(bytes.length), random(bytes.length));
    }
  }
  return random(10) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
}

/** Asks an image for everything it can tell. */
function askEverything(image: ElfImage): void {
  const addresses: Vaddr[] = [image.entry, 0 as Vaddr, -1 as Vaddr, (2 ** 60) as Vaddr];
  for (const one of image.functions("*")) addresses.push(one.vaddr, one.end);
  image.functions("main");
  image.functions("[a-m]*");
  for (const vaddr of addresses) {
    image.symbolAt(vaddr);
    image.functionBounds(vaddr);
    image.isCode(vaddr);
    image.bytesAt(vaddr, 16);
    image.vaddrAt(image.fileOffset(vaddr) ?? 0);
  }
  let symbols = 0;
  for (const symbol of image.symbols()) symbols += symbol.name.length;
  assert.ok(symbols >= 0);
  for (const relocation of image.relocations) image.relocations.symbolName(relocation);
  image.relocations.slotsOfResolver(image.functions("chosen")[0]?.vaddr ?? image.entry);
  image.relocations.slotsOfSymbol(["puts"]);
  image.restartableSequences();
  image.frameDescriptions();
  image.pltStubs();
  image.dataInCode();
  image.debugFile();
  dynamicLinkerFacts(image);
  const page = 0x1000;
  const mappings = Array.from({ length: 4 }, (_, index) => ({
    start: (0x7f0000000000 + index * page) as Address,
    end: (0x7f0000000000 + (index + 1) * page) as Address,
    offset: index * page,
    executable: index % 2 === 1,
    path: image.realPath,
  }));
  image.loadBiases(mappings);
  const rest = [
    image.interpreter,
    image.soname,
    image.needed,
    image.buildId,
    image.isStatic,
    image.pltRanges,
    image.warnings,
  ];
  assert.ok(rest.length > 0);
}

test(`${CASES} damaged images: an answer or a sentence, in bounded time and memory`, needsGcc, () => {
  const path = build(folder, "whole", PROGRAM, "-rdynamic");
  const stripped = build(folder, "stripped", PROGRAM, "-rdynamic", "-s");
  run("objcopy", `--add-gnu-debuglink=${path}`, stripped);
  const originals = [path, stripped, build(folder, "fixed", PROGRAM, "-no-pie")].map((file) => {
    const bytes = readFileSync(file);
    return { bytes, regions: regionsOf(bytes) };
  });
  const outcomes = { answered: 0, warned: 0, refused: 0 };
  for (let number = 0; number < CASES; number += 1) {
    const original = originals[number % originals.length] ?? assert.fail();
    const bytes = mutate(original.bytes, original.regions, randomFrom(SEED + number));
    const start = performance.now();
    const before = process.memoryUsage();
    try {
      const image = ElfImage.fromBytes(bytes, "damaged", { debugRoots: [] });
      askEverything(image);
      outcomes[image.warnings.length > 0 ? "warned" : "answered"] += 1;
    } catch (error) {
      if (!(error instanceof TraplineError)) throw new Error(`case ${number}`, { cause: error });
      outcomes.refused += 1;
    }
    const after = process.memoryUsage();
    const took = performance.now() - start;
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    assert.ok(took < MOST_MILLISECONDS, `case ${number} took ${took} ms`);
    assert.ok(grown < MOST_BYTES, `case ${number} took ${grown} bytes`);
  }
  // Mutations that are all refused, or all harmless, would test nothing.
  for (const [outcome, count] of Object.entries(outcomes)) {
    assert.ok(count > CASES / 50, `${outcome}: ${count} of ${CASES}`);
  }
});

test("ten thousand sections that each claim the whole file are not read ten thousand times", needsGcc, () => {
  const bytes = readFileSync(build(folder, "many", PROGRAM));
  const whole = ElfImage.fromBytes(bytes, "whole");
  const headers = Number(bytes.readBigUInt64LE(40));
  const count = 10_000;
  for (const [name, type] of [
    ["__rseq_cs", 1],
    [".note.gnu.build-id", 7],
    [".rela.dyn", 4],
    [".plt", 1],
  ] as const) {
    const model = whole.sections.find((one) => one.name === name) ?? assert.fail(name);
    const table = Buffer.alloc(64 * count);
    bytes.copy(table, 0, headers, headers + 64 * whole.sections.length);
    for (let index = whole.sections.length; index < count; index += 1) {
      const from = headers + 64 * model.index;
      bytes.copy(table, 64 * index, from, from + 64);
      table.writeUInt32LE(type, 64 * index + 4);
      table.writeBigUInt64LE(0n, 64 * index + 24);
      table.writeBigUInt64LE(BigInt(bytes.length + table.length), 64 * index + 32);
    }
    const damaged = Buffer.concat([bytes, table]);
    damaged.writeBigUInt64LE(BigInt(bytes.length), 40);
    damaged.writeUInt16LE(count, 60);
    const start = performance.now();
    const image = ElfImage.fromBytes(damaged, "damaged", { debugRoots: [] });
    assert.equal(image.sections.length, count);
    askEverything(image);
    assert.ok(performance.now() - start < MOST_MILLISECONDS, name);
  }
});

test("a section that claims to be as long as a number can be costs nothing", needsGcc, () => {
  const bytes = readFileSync(build(folder, "long", PROGRAM));
  const sections = Number(bytes.readBigUInt64LE(40));
  for (let index = 0; index < bytes.readUInt16LE(60); index += 1) {
    bytes.writeBigUInt64LE(0x1fffffffffffffn, sections + 64 * index + 32);
  }
  const image = ElfImage.fromBytes(bytes, "long", { debugRoots: [] });
  askEverything(image);
  assert.match(image.warnings.join(), /truncated or damaged/);
});

test(
  "a symbol table whose names are all one long string is refused before they fill the memory",
  needsGcc,
  () => {
    const count = 200_000;
    const names = 2_000_000;
    const source = `void f(void) {} int main(void) { f(); return 0; }`;
    const bytes = readFileSync(build(folder, "names", source));
    const whole = ElfImage.fromBytes(bytes, "names");
    const symtab = whole.sections.find((one) => one.type === 2) ?? assert.fail();
    const main = whole.functions("main")[0] ?? assert.fail();
    const table = Buffer.alloc(24 * count);
    for (let index = 1; index < count; index += 1) {
      table.writeUInt32LE(1 + index, 24 * index);
      table.writeUInt8(0x12, 24 * index + 4);
      table.writeUInt16LE(1, 24 * index + 6);
      table.writeBigUInt64LE(BigInt(main.vaddr), 24 * index + 8);
    }
    const strings = Buffer.alloc(names, "x");
    const damaged = Buffer.concat([bytes, table, strings]);
    const headers = Number(bytes.readBigUInt64LE(40));
    const point = (index: number, offset: number, size: number) => {
      damaged.writeBigUInt64LE(BigInt(offset), headers + 64 * index + 24);
      damaged.writeBigUInt64LE(BigInt(size), headers + 64 * index + 32);
    };
    point(symtab.index, bytes.length, table.length);
    point(symtab.link, bytes.length + table.length, strings.length);
    const image = ElfImage.fromBytes(damaged, "damaged", { debugRoots: [] });
    const start = performance.now();
    assert.throws(() => image.functions("*"), /names are longer than its strings/);
    assert.ok(performance.now() - start < MOST_MILLISECONDS);
  },
);
