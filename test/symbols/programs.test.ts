import assert from "node:assert/strict";
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UsageError } from "../../src/base/errors.js";
import { matchesLibrary, resolveProgram } from "../../src/symbols/programs.js";
import { temporaryFolder } from "./build-programs.js";

const folder = realpathSync(temporaryFolder());
for (const part of ["one", "two"]) mkdirSync(join(folder, part));
writeFileSync(join(folder, "one", "tool"), "not executable");
writeFileSync(join(folder, "two", "tool"), "executable");
chmodSync(join(folder, "two", "tool"), 0o755);
mkdirSync(join(folder, "one", "folder"));
symlinkSync("tool", join(folder, "two", "alias"));

test("a name without a slash is looked up in PATH, past files that cannot be executed and folders", () => {
  const path = `${folder}/one:${folder}/two`;
  assert.equal(resolveProgram("tool", path), join(folder, "two", "tool"));
  assert.throws(() => resolveProgram("folder", path), UsageError);
  assert.throws(() => resolveProgram("", path), UsageError);
  assert.throws(() => resolveProgram("none", path), /cannot find the program none in PATH/);
});

test("symbolic links are resolved, in PATH and in paths", () => {
  assert.equal(resolveProgram("alias", `${folder}/two`), join(folder, "two", "tool"));
  assert.equal(resolveProgram(join(folder, "two", "alias"), ""), join(folder, "two", "tool"));
});

test("a name with a slash is a path, executable or not", () => {
  assert.equal(resolveProgram("one/tool", undefined, folder), join(folder, "one", "tool"));
  assert.throws(
    () => resolveProgram("one/none", undefined, folder),
    /cannot find the program one\/none: no such file/,
  );
});

test("an empty part of PATH is the current folder", () => {
  assert.equal(resolveProgram("tool", ":/none", join(folder, "two")), join(folder, "two", "tool"));
});

test("a library is found by its file's name, its soname, its path, and by patterns", () => {
  const library = { path: "/usr/lib/x86_64-linux-gnu/libc-2.31.so", soname: () => "libc.so.6" };
  assert.ok(matchesLibrary("libc-2.31.so", library));
  assert.ok(matchesLibrary("libc.so.6", library));
  assert.ok(matchesLibrary("libc.so.*", library));
  assert.ok(matchesLibrary("libc*", library));
  assert.ok(matchesLibrary("/usr/lib/x86_64-linux-gnu/libc-2.31.so", library));
  assert.ok(matchesLibrary("*/libc-*.so", library));
  assert.ok(!matchesLibrary("libm*", library));
  assert.ok(!matchesLibrary("libc", library));
  assert.ok(!matchesLibrary("lib/libc.so.6", library));
});

test("a path to a library through a symbolic link is that library", () => {
  const path = join(folder, "two", "tool");
  assert.ok(matchesLibrary(join(folder, "two", "alias"), { path, soname: () => undefined }));
});

test("a library's soname is asked for only where its path does not match", () => {
  const soname = () => assert.fail("asked");
  assert.ok(matchesLibrary("libc*", { path: "/lib/libc.so.6", soname }));
});
