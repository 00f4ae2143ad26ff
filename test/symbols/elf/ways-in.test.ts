import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import { build, needsGcc, run, temporaryFolder } from "../build-programs.js";

const folder = temporaryFolder();

test("landing pads lie in the functions that catch", needsGcc, () => {
  const source = join(folder, "catches.cc");
  writeFileSync(
    source,
    `extern int work(int);
     int quiet(int x) { return work(x) + 1; }
     int catches(int x) { try { return work(x); } catch (int n) { return n; } }`,
  );
  const library = join(folder, "catches.so");
  run("g++", "-O1", "-shared", "-fPIC", source, "-o", library);
  using image = ElfImage.open(library);
  const { pads, unread } = image.landingPads();
  assert.deepEqual(unread, []);
  assert.ok(pads.length > 0);
  const names = new Set(pads.map((pad) => image.symbolAt(pad)?.name.replace(".cold", "")));
  assert.deepEqual([...names], ["_Z7catchesi"]);
});

test("every landing pad of the C++ library lies in code, and no table is left unread", needsGcc, () => {
  const [path = ""] = run("g++", "-print-file-name=libstdc++.so.6").split("\n");
  using image = ElfImage.open(path);
  const { pads, unread } = image.landingPads();
  assert.deepEqual(unread, []);
  assert.ok(pads.length > 1_000, String(pads.length));
  assert.ok(pads.every((pad) => image.isCode(pad)));
});

const POINTERS = `
  static int f(int x) { return x; }
  static int g(int x) { return -x; }
  int (*const constant)(int) = f;
  int (*variable)(int) = g;
  int main(int argc, char **argv) { (void)argv; return variable(argc) + constant(argc); }
`;

/** How a program can be linked: absolute words, relocations, relocations packed into the words themselves. */
const LINKED: readonly (readonly [string, ...string[]])[] = [
  ["fixed", "-no-pie"],
  ["relocated", "-pie", "-fPIE"],
  ["packed", "-pie", "-fPIE", "-Wl,-z,pack-relative-relocs"],
];

for (const [name, ...flags] of LINKED) {
  test(`pointers to functions are found in data: ${name}`, needsGcc, () => {
    using image = ElfImage.open(build(folder, name, POINTERS, "-O1", ...flags));
    const pointers = new Set<number>(image.codePointers());
    for (const symbol of ["f", "g"]) {
      const [found] = image.symbolsNamed(symbol);
      assert.ok(found !== undefined && pointers.has(found.vaddr), symbol);
    }
  });
}
