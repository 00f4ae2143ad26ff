import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, realpathSync } from "node:fs";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { Address } from "../../../src/base/address.js";
import { dynamicLinkerFacts, R_DEBUG } from "../../../src/symbols/elf/dynamic-linker.js";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import type { MappedPiece } from "../../../src/symbols/elf/load-bias.js";
import { type LoadBias, loadedAt, type Vaddr } from "../../../src/symbols/vaddr.js";
import { build, libcPath, needsGcc, run, temporaryFolder } from "../build-programs.js";

const folder = realpathSync(temporaryFolder());

const LIBRARY = `
  typedef int fn(int);
  static int slow(int x) { return x; }
  static int quick(int x) { return x + 1; }
  static fn *select_it(void) { return quick; }
  int chosen(int x) __attribute__((ifunc("select_it")));
  int inside(int x) { return chosen(x) + slow(x); }
  int plain(int x) { return x; }
`;

/** Prints where things are, then waits until its input ends. */
const PROGRAM = `
  #include <stdio.h>
  #include <string.h>
  extern int chosen(int), plain(int);
  int own(int x) { return x; }
  int main(int argc, char **argv) {
    printf("%p %p %p %d\\n", (void *)own, (void *)chosen, (void *)plain, chosen(argc) + plain(argc));
    memcpy(argv[0], "x", argc);
    fflush(stdout);
    getchar();
    return 0;
  }
`;

/** A running program that has said its first line. */
interface Running {
  readonly child: ChildProcess;
  readonly words: readonly string[];
  readonly mappings: readonly MappedPiece[];
  /** The eight bytes at an address of its memory. */
  word(at: Address): number;
}

async function start(path: string): Promise<Running & AsyncDisposable> {
  const child = spawn(path, { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const pid = child.pid ?? assert.fail();
  const memory = openSync(`/proc/${pid}/mem`, "r");
  return {
    child,
    words: line.split(" "),
    mappings: parseMaps(readFileSync(`/proc/${pid}/maps`, "utf8")),
    word(at) {
      const bytes = Buffer.alloc(8);
      assert.equal(readSync(memory, bytes, 0, 8, at), 8);
      return Number(bytes.readBigUInt64LE());
    },
    async [Symbol.asyncDispose]() {
      closeSync(memory);
      const gone = once(child, "exit");
      child.stdin.end();
      await gone;
    },
  };
}

function parseMaps(text: string): MappedPiece[] {
  return text
    .split("\n")
    .map((line) => /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+ *(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, start = "", end = "", flags = "", offset = "", path = ""]) => ({
      start: parseInt(start, 16) as Address,
      end: parseInt(end, 16) as Address,
      offset: parseInt(offset, 16),
      executable: flags.includes("x"),
      path,
    }));
}

const VARIANTS: readonly (readonly string[])[] = [
  ["-pie", "-Wl,-z,now"],
  ["-pie", "-Wl,-z,lazy"],
  ["-no-pie"],
  ["-pie", "-Wl,-z,noseparate-code"],
];

for (const flags of VARIANTS) {
  test(
    `in a running program: load bias and the implementation of an IFUNC (${flags.join(" ")})`,
    needsGcc,
    async () => {
      const library = build(folder, "libchosen.so", LIBRARY, "-shared", "-fPIC");
      const path = build(folder, `live${flags.join("")}`, PROGRAM, library, `-Wl,-rpath,${folder}`, ...flags);
      using image = ElfImage.open(path);
      using shared = ElfImage.open(library);
      await using running = await start(path);

      const bias = image.loadBias(running.mappings) ?? assert.fail();
      const own = image.functions("own")[0] ?? assert.fail();
      assert.equal(loadedAt(own.vaddr, bias), Number(running.words[0]));
      const sharedBias = shared.loadBias(running.mappings) ?? assert.fail();
      const quick = shared.functions("quick")[0] ?? assert.fail();
      const implementation = loadedAt(quick.vaddr, sharedBias);

      const resolver = shared.functions("chosen")[0] ?? assert.fail();
      assert.equal(resolver.kind, "ifunc");
      const inLibrary = shared.relocations.slotsOfResolver(resolver.vaddr);
      const inProgram = image.relocations.slotsOfSymbol(resolver.names);
      assert.ok(inProgram.length > 0);
      for (const slot of inProgram) assert.equal(running.word(loadedAt(slot, bias)), implementation);
      assert.equal(inLibrary.length, 1);
      assert.equal(image.loadBias(running.mappings, "/none"), undefined);
    },
  );
}

test(
  "in a running program: an IFUNC that its library calls itself and does not export",
  needsGcc,
  async () => {
    const source = `${LIBRARY.replace("int chosen", '__attribute__((visibility("hidden"))) int chosen')}
    #include <stdio.h>
    int main(int argc, char **argv) { (void)argv; printf("%d\\n", inside(argc)); fflush(stdout); getchar(); return 0; }`;
    for (const flags of [["-pie"], ["-static"], ["-static-pie"]]) {
      const path = build(folder, `hidden${flags.join("")}`, source, ...flags);
      using image = ElfImage.open(path);
      await using running = await start(path);
      const bias = image.loadBias(running.mappings) ?? assert.fail();
      const resolver = image.functions("chosen")[0] ?? assert.fail();
      const slots = image.relocations.slotsOfResolver(resolver.vaddr);
      assert.equal(slots.length, 1, flags.join());
      const quick = image.functions("quick")[0] ?? assert.fail();
      for (const slot of slots) assert.equal(running.word(loadedAt(slot, bias)), loadedAt(quick.vaddr, bias));
    }
  },
);

test("in a running program: the dynamic linker's state and its hook for changes", needsGcc, async () => {
  const library = build(folder, "libchosen.so", LIBRARY, "-shared", "-fPIC");
  const path = build(folder, "linked", PROGRAM, library, `-Wl,-rpath,${folder}`);
  using image = ElfImage.open(path);
  using linker = ElfImage.open(realpathSync(image.interpreter ?? assert.fail()));
  await using running = await start(path);
  const facts = dynamicLinkerFacts(linker);
  assert.ok(facts.changeHook !== undefined && facts.state !== undefined);
  const bias = linker.loadBias(running.mappings) ?? assert.fail();
  const state = loadedAt(facts.state, bias);
  assert.equal(running.word((state + R_DEBUG.changeHook) as Address), loadedAt(facts.changeHook, bias));
  assert.equal(running.word((state + R_DEBUG.linkerBase) as Address), bias);
  const own = image.loadBias(running.mappings) ?? assert.fail();
  assert.equal(running.word(loadedAt(image.debugSlot ?? assert.fail(), own)), state);
});

test("a library that is mapped twice has two biases; a split mapping has one", needsGcc, () => {
  using image = ElfImage.open(libcPath());
  const text = image.segments.find((one) => one.type === 1 && one.executable) ?? assert.fail();
  const piece = (at: number, offset: number, length: number, executable = true): MappedPiece => ({
    start: at as Address,
    end: (at + length) as Address,
    offset,
    executable,
    path: image.realPath,
  });
  const page = 0x1000;
  const split = [
    piece(0x7f0000000000 + text.vaddr, text.offset, page),
    piece(0x7f0000000000 + text.vaddr + page, text.offset + page, page, false),
    piece(0x7f0000000000 + text.vaddr + 2 * page, text.offset + 2 * page, 4 * page),
  ];
  assert.deepEqual(image.loadBiases(split), [0x7f0000000000]);
  const again = piece(0x7e0000000000 + text.vaddr, text.offset, 9 * page);
  assert.deepEqual(image.loadBiases([...split, again]), [0x7e0000000000, 0x7f0000000000]);
  const notExecutable = [piece(0x7f0000000000 + text.vaddr, text.offset, page, false)];
  assert.equal(image.loadBias(notExecutable), 0x7f0000000000 as LoadBias);
});

test("relocations are those that readelf shows", needsGcc, () => {
  const path = libcPath();
  using image = ElfImage.open(path);
  const shown = new Map<number, number>();
  for (const line of run("readelf", "-rW", path).split("\n")) {
    const [, slot, info] = /^([0-9a-f]{16}) +([0-9a-f]{16}) R_X86_64/.exec(line) ?? [];
    if (slot !== undefined && info !== undefined) shown.set(parseInt(slot, 16), parseInt(info.slice(8), 16));
  }
  assert.ok(shown.size > 50);
  const read = new Map([...image.relocations].map(({ slot, type }) => [slot as number, type]));
  assert.deepEqual(read, shown);
});

test("stubs of the PLT are named after the function that they jump to", needsGcc, () => {
  for (const flags of [
    ["-pie"],
    ["-no-pie"],
    ["-pie", "-Wl,-z,ibtplt", "-fcf-protection"],
    ["-pie", "-Wl,-z,now"],
  ]) {
    const path = build(
      folder,
      "stubs",
      PROGRAM.replace(/chosen|plain/g, "own").replace(/extern .*/, ""),
      ...flags,
    );
    using image = ElfImage.open(path);
    const expected = [...run("objdump", "-d", path).matchAll(/^([0-9a-f]+) <(\w+)@plt>:/gm)];
    assert.ok(expected.length > 0);
    for (const [, address = "", name] of expected) {
      const at = parseInt(address, 16) as Vaddr;
      assert.equal(image.symbolAt(at)?.name, `${name}@plt`, flags.join());
      assert.equal(image.symbolAt((at + 7) as Vaddr)?.offset, 7);
      assert.ok(image.pltRanges.some((range) => at >= range.start && at < range.end));
    }
  }
});

const SEQUENCES = `
  .text
  .globl main
main:
  xor %eax, %eax
before:
  nop
  nop
  nop
commit:
  ret
  .long 0x53053053
abort:
  jmp commit
  .section __rseq_cs, "aw", @progbits
  .balign 32
descriptor:
  .long 0, 0
  .quad before, commit - before, abort
  .balign 32
  .section __rseq_cs_ptr_array, "aw", @progbits
  .quad descriptor
  .data
  .balign 32
elsewhere:
  .long 0, 0
  .quad main, before - main, abort
  .section __rseq_cs_ptr_array, "aw", @progbits
  .quad elsewhere
  .section .note.GNU-stack, "", @progbits
`;

test(
  "restartable sequences are found through relocations, wherever their descriptors stand",
  needsGcc,
  () => {
    for (const flags of [["-pie"], ["-no-pie"], ["-pie", "-Wl,-z,pack-relative-relocs"]]) {
      using image = ElfImage.open(build(folder, "sequences", SEQUENCES, "assembler", ...flags));
      const at = (name: string) => image.functions(name)[0]?.vaddr ?? assert.fail(name);
      assert.deepEqual(image.restartableSequences(), [
        { range: { start: at("main"), end: at("before") }, abort: at("abort") },
        { range: { start: at("before"), end: at("commit") }, abort: at("abort") },
      ]);
    }
  },
);

test("an image without restartable sequences has none", needsGcc, () => {
  using image = ElfImage.open(libcPath());
  assert.deepEqual(image.restartableSequences(), []);
});
