import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import { formatVaddr, type Vaddr } from "../../../src/symbols/vaddr.js";
import { build, libcPath, needsGcc, run, temporaryFolder } from "../build-programs.js";

const folder = temporaryFolder();

const PROGRAM = `
  static int counter;
  __attribute__((noinline)) int first(int x) { return x + counter; }
  static __attribute__((noinline, used)) int hidden(int x) { return x * 3; }
  int weak_alias(int x) __attribute__((weak, alias("first")));
  int __under(int x) __attribute__((alias("first")));
  static int __attribute__((used, alias("first"))) local_alias(int x);
  typedef int fn(int);
  __attribute__((used)) static fn *select_it(void) { return hidden; }
  int chosen(int x) __attribute__((ifunc("select_it")));
  int main(int argc, char **argv) { (void)argv; return first(argc) + chosen(argc); }
`;

const ASSEMBLY = `
  .text
  .globl typed
  .type typed, @function
typed:
  nop
inner:
  nop
  ret
  .size typed, . - typed
untyped:
  nop
  ret
  .globl second_untyped
second_untyped:
  ret
  .type table, @object
table:
  .quad 1, 2
  .size table, 16
  .type after, @function
after:
  ret
  .size after, 1
  .type after.cold, @function
after.cold:
  ud2
  .size after.cold, 2
  .section .note.GNU-stack, "", @progbits
`;

/** `nm`'s text symbols: address → names. */
function textSymbols(...args: string[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const line of run("nm", ...args).split("\n")) {
    const [, address, type, name] = /^([0-9a-f]+) (.) ([^@]+)/.exec(line) ?? [];
    if (address === undefined || name === undefined || !/[TtWwi]/.test(type ?? "")) continue;
    const key = `0x${BigInt(`0x${address}`).toString(16)}`;
    found.set(key, (found.get(key) ?? new Set()).add(name));
  }
  return found;
}

test("aliases at one address are one location, with the exported, plainest name first", needsGcc, () => {
  using image = ElfImage.open(build(folder, "aliases", PROGRAM, "-O1"));
  const [location, ...others] = image.functions("first");
  assert.ok(location);
  assert.equal(others.length, 0);
  assert.deepEqual([...location.names].sort(), ["__under", "first", "local_alias", "weak_alias"]);
  assert.equal(location.name, "first");
  assert.equal(location.binding, "global");
  for (const name of location.names) assert.deepEqual(image.functions(name), [location]);
  assert.deepEqual(image.functions("*_alias"), [location]);
});

test("an IFUNC is marked as such, also where its resolver has a name of its own", needsGcc, () => {
  using image = ElfImage.open(build(folder, "ifunc", PROGRAM));
  const chosen = image.functions("chosen")[0] ?? assert.fail();
  assert.equal(chosen.kind, "ifunc");
  assert.deepEqual([...chosen.names].sort(), ["chosen", "select_it"]);
  assert.equal(image.functions("hidden")[0]?.kind, "function");
});

test("patterns find functions; exact names find labels and cold fragments too", needsGcc, () => {
  const path = build(folder, "labels.so", ASSEMBLY, "assembler", "-shared", "-nostdlib");
  using image = ElfImage.open(path);
  const names = (pattern: string) => image.functions(pattern).map((one) => one.name);
  assert.deepEqual(names("*"), ["typed", "after"]);
  assert.deepEqual(names("*untyped"), []);
  assert.deepEqual(names("untyped"), ["untyped"]);
  assert.deepEqual(names("inner"), ["inner"]);
  assert.deepEqual(names("after.cold"), ["after.cold"]);
  assert.deepEqual(names("table"), []);
  assert.deepEqual(
    ["typed", "untyped", "after.cold"].map((name) => image.functions(name)[0]?.kind),
    ["function", "label", "fragment"],
  );
});

test("an address belongs to the function whose size covers it, before any label in it", needsGcc, () => {
  using image = ElfImage.open(build(folder, "where.so", ASSEMBLY, "assembler", "-shared", "-nostdlib"));
  const typed = image.functions("typed")[0]?.vaddr ?? assert.fail();
  const at = (offset: number) => {
    const found = image.symbolAt((typed + offset) as Vaddr);
    return found && `${found.name}+${found.offset}`;
  };
  assert.deepEqual([0, 1, 2].map(at), ["typed+0", "typed+1", "typed+2"]);
  assert.deepEqual([3, 4, 5].map(at), ["untyped+0", "untyped+1", "second_untyped+0"]);
  assert.equal(at(6 + 16), "after+0");
  assert.equal(at(-1), undefined);
  assert.equal(at(0x100000), undefined);
});

test("objects among instructions are told as data", needsGcc, () => {
  using image = ElfImage.open(build(folder, "data.so", ASSEMBLY, "assembler", "-shared", "-nostdlib"));
  const after = image.functions("after")[0]?.vaddr ?? assert.fail();
  assert.deepEqual(image.dataInCode(), [{ start: after - 16, end: after }]);
});

test("all of nm's text symbols in code are found, at nm's addresses", needsGcc, () => {
  for (const flags of [["-static"], ["-pie"], ["-no-pie"], ["-static-pie"]]) {
    const path = build(folder, `nm${flags.join("")}`, PROGRAM, ...flags);
    using image = ElfImage.open(path);
    let compared = 0;
    for (const [address, names] of textSymbols("--defined-only", path)) {
      if (!image.isCode(Number(address) as Vaddr)) continue;
      for (const name of names) {
        const found = image.functions(name).map((one) => formatVaddr(one.vaddr));
        assert.ok(found.includes(address), `${path}: ${name} at ${address}, found ${found.join()}`);
        compared += 1;
      }
    }
    assert.ok(compared >= 10);
  }
});

test("the C library's functions are those that readelf counts", needsGcc, () => {
  const path = libcPath();
  using image = ElfImage.open(path, { debugRoots: [] });
  const addresses = new Set<string>();
  for (const line of run("readelf", "-sW", path).split("\n")) {
    const [, address] = /^ *\d+: ([0-9a-f]+) +\d+ I?FUNC +\w+ +\w+ +\d+ /.exec(line) ?? [];
    if (address !== undefined) addresses.add(`0x${BigInt(`0x${address}`).toString(16)}`);
  }
  const found = new Set(image.functions("*").map((one) => formatVaddr(one.vaddr)));
  assert.ok(addresses.size > 1000);
  assert.deepEqual([...found].sort(), [...addresses].sort());
  assert.equal(image.functions("puts")[0]?.name, "puts");
  assert.ok(image.functions("memcpy").some((one) => one.kind === "ifunc"));
  assert.deepEqual(image.warnings, []);
});

test("the C library's symbols are read in tens of milliseconds", needsGcc, () => {
  const start = performance.now();
  using image = ElfImage.open(libcPath());
  const count = image.functions("*").length;
  const took = performance.now() - start;
  assert.ok(count > 1000);
  assert.ok(took < 500, `${took} ms; 20 to 60 ms on an idle machine`);
});

test(
  "a stripped program has the names that its dynamic symbols keep, and frames for the rest",
  needsGcc,
  () => {
    const path = build(folder, "stripped", PROGRAM, "-rdynamic");
    using whole = ElfImage.open(path);
    const first = whole.functions("first")[0] ?? assert.fail();
    const hidden = whole.functions("hidden")[0] ?? assert.fail();
    run("strip", path);
    using image = ElfImage.open(path, { debugRoots: [] });
    assert.equal(image.functions("first")[0]?.vaddr, first.vaddr);
    assert.deepEqual(image.functions("hidden"), []);
    assert.equal(image.symbolAt(hidden.vaddr), undefined);
    assert.deepEqual(image.functionBounds((hidden.vaddr + 1) as Vaddr), {
      start: hidden.vaddr,
      end: hidden.end,
    });
  },
);

test("frame descriptions give each function's start and length", needsGcc, () => {
  using image = ElfImage.open(build(folder, "frames", PROGRAM));
  const frames = new Map(image.frameDescriptions().map((one) => [one.start as number, one.length]));
  for (const name of ["first", "hidden", "select_it", "main", "_start"]) {
    const location = image.functions(name)[0] ?? assert.fail();
    assert.equal(frames.get(location.vaddr), location.end - location.vaddr, name);
  }
});

test(
  "without section headers, symbols, frames and relocations come from the dynamic segment",
  needsGcc,
  () => {
    for (const style of ["sysv", "gnu"]) {
      const path = build(folder, `sections-${style}`, PROGRAM, "-rdynamic", `-Wl,--hash-style=${style}`);
      using whole = ElfImage.open(path);
      const bytes = readFileSync(path);
      bytes.writeBigUInt64LE(0n, 40);
      bytes.writeUInt16LE(0, 60);
      const bare = ElfImage.fromBytes(bytes, "bare");
      assert.equal(bare.sections.length, 0);
      assert.equal(bare.functions("first")[0]?.vaddr, whole.functions("first")[0]?.vaddr, style);
      assert.equal(bare.functions("main")[0]?.vaddr, whole.functions("main")[0]?.vaddr, style);
      assert.deepEqual(bare.frameDescriptions(), whole.frameDescriptions());
      assert.deepEqual([...bare.relocations], [...whole.relocations]);
      assert.deepEqual(bare.needed, whole.needed);
      assert.deepEqual(bare.warnings, []);
    }
  },
);

test(
  "a separate debug file gives the names back: by build-id, next to the image, in .debug, under a root",
  needsGcc,
  () => {
    const path = build(folder, "separate", PROGRAM);
    using whole = ElfImage.open(path);
    const { vaddr } = whole.functions("hidden")[0] ?? assert.fail();
    const buildId = whole.buildId ?? assert.fail();
    const debug = join(folder, "separate.debug");
    run("objcopy", "--only-keep-debug", path, debug);
    run("strip", path);
    run("objcopy", `--add-gnu-debuglink=${debug}`, path);

    const root = join(folder, "root");
    const find = (image: string) => {
      using opened = ElfImage.open(image, { debugRoots: [root] });
      const location = opened.functions("hidden")[0];
      assert.ok(location === undefined || location.vaddr === vaddr);
      return location === undefined ? undefined : opened.debugFile()?.path;
    };
    const lone = join(folder, "lone");
    mkdirSync(join(lone, ".debug"), { recursive: true });
    const image = join(lone, "separate");
    copyFileSync(path, image);

    assert.equal(find(path), debug);
    assert.equal(find(image), undefined);
    for (const place of [
      join(root, lone, "separate.debug"),
      join(lone, ".debug", "separate.debug"),
      join(lone, "separate.debug"),
      join(root, ".build-id", buildId.slice(0, 2), `${buildId.slice(2)}.debug`),
    ]) {
      mkdirSync(dirname(place), { recursive: true });
      copyFileSync(debug, place);
      assert.equal(find(image), place);
    }
  },
);

test("a debug file of another build is not used, and it is said", needsGcc, () => {
  for (const id of ["sha1", "none"]) {
    const name = `rebuilt-${id}`;
    const path = build(folder, name, PROGRAM, `-Wl,--build-id=${id}`);
    const debug = join(folder, `${name}.debug`);
    run("objcopy", "--only-keep-debug", path, debug);
    run("strip", path);
    run("objcopy", `--add-gnu-debuglink=${debug}`, path);
    using good = ElfImage.open(path, { debugRoots: [] });
    assert.equal(good.functions("hidden").length, 1);

    run(
      "objcopy",
      "--only-keep-debug",
      build(folder, "other", `int more; ${PROGRAM}`, `-Wl,--build-id=${id}`),
      debug,
    );
    using image = ElfImage.open(path, { debugRoots: [] });
    assert.deepEqual(image.functions("hidden"), []);
    assert.match(image.warnings.join(), /debug file of another build/);
  }
});

test("a damaged debug link names no file elsewhere", needsGcc, () => {
  const path = build(folder, "link", PROGRAM, "-s");
  const section = join(folder, "link-section");
  for (const name of ["../secret", "/etc/passwd", "..", ""]) {
    const contents = Buffer.alloc(32);
    contents.write(name);
    writeFileSync(section, contents);
    const linked = join(folder, "linked");
    run("objcopy", `--add-section=.gnu_debuglink=${section}`, path, linked);
    using image = ElfImage.open(linked, { debugRoots: [] });
    assert.equal(image.debugFile(), undefined);
  }
});
