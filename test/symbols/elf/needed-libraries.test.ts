import assert from "node:assert/strict";
import { mkdirSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ImageCache } from "../../../src/symbols/elf/cache.js";
import { neededLibraries } from "../../../src/symbols/elf/needed-libraries.js";
import { build, needsGcc, run, temporaryFolder } from "../build-programs.js";

const folder = realpathSync(temporaryFolder());

test("the libraries that programs need are those that ldd lists", needsGcc, () => {
  using cache = new ImageCache();
  for (const program of [process.execPath, "/bin/bash", "/bin/ls"]) {
    const listed = [...run("ldd", program).matchAll(/(?:=> |^\s+)(\/\S+)/gm)].map(([, path = ""]) =>
      realpathSync(path),
    );
    const found = neededLibraries(cache.open(program), (path) => cache.open(path)).map((one) => one.realPath);
    assert.ok(listed.length >= 2);
    assert.deepEqual(found.sort(), listed.sort(), program);
  }
});

test("a library is found through the run path, $ORIGIN and LD_LIBRARY_PATH", needsGcc, () => {
  using cache = new ImageCache();
  const open = (path: string) => cache.open(path);
  const library = build(
    folder,
    "libown.so",
    "int own(void) { return 1; }",
    "-shared",
    "-fPIC",
    "-Wl,-soname,libown.so",
  );
  const main = "int own(void); int main(void) { return own(); }";
  const program = (name: string, ...flags: string[]) =>
    cache.open(build(folder, name, main, library, ...flags));
  const byRunPath = program("by-run-path", "-Wl,-rpath,$ORIGIN/libraries");
  const byEnvironment = program("by-environment");
  mkdirSync(join(folder, "libraries"));
  const place = join(folder, "libraries", "libown.so");
  renameSync(library, place);
  const paths = (...args: Parameters<typeof neededLibraries>) =>
    neededLibraries(...args).map((one) => one.realPath);
  assert.ok(paths(byRunPath, open).includes(place));
  assert.ok(!paths(byEnvironment, open).includes(place));
  assert.ok(paths(byEnvironment, open, { libraryPath: `/none:${folder}/libraries` }).includes(place));

  // A file of the right name that is no library is passed over.
  writeFileSync(join(folder, "libown.so"), "INPUT(libown.so.1)");
  assert.ok(paths(byEnvironment, open, { libraryPath: `${folder}:${folder}/libraries` }).includes(place));
});

test("without the linker's cache, or with a damaged one, the default folders serve", needsGcc, () => {
  using cache = new ImageCache();
  const damaged = join(folder, "cache");
  for (const contents of ["", "glibc-ld.so.cache1.1", `glibc-ld.so.cache1.1${"\xff".repeat(200)}`]) {
    writeFileSync(damaged, contents, "latin1");
    for (const file of [damaged, join(folder, "no-cache")]) {
      const found = neededLibraries(cache.open("/bin/ls"), (path) => cache.open(path), { cache: file });
      assert.ok(found.some((one) => one.soname === "libc.so.6"));
    }
  }
});
