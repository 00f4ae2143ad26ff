import assert from "node:assert/strict";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Address } from "../../../src/base/address.js";
import { TargetError } from "../../../src/base/errors.js";
import { ImageCache } from "../../../src/symbols/elf/cache.js";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import { build, libcPath, needsGcc, run, temporaryFolder } from "../build-programs.js";

const folder = temporaryFolder();
const itself = readFileSync(process.execPath).subarray(0, 4096);

/** The start of a real program with some bytes changed. */
function damaged(change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(itself);
  change(bytes);
  return bytes;
}

function refuses(bytes: Uint8Array, message: RegExp): void {
  assert.throws(
    () => ElfImage.fromBytes(bytes, "it"),
    (error) => error instanceof TargetError && message.test(error.message),
  );
}

test("what is no x86-64 program is refused with a sentence that says what it is", () => {
  refuses(Buffer.from(""), /^it is not an ELF file$/);
  refuses(Buffer.from("\x7fEL"), /^it is not an ELF file$/);
  refuses(Buffer.from("#!/bin/sh\n"), /^it is not an ELF file but a script$/);
  refuses(
    damaged((b) => b.writeUInt8(1, 4)),
    /32-bit file \(x32\)/,
  );
  refuses(
    damaged((b) => (b.writeUInt8(1, 4), b.writeUInt16LE(3, 18))),
    /32-bit file \(i386\)/,
  );
  refuses(
    damaged((b) => b.writeUInt8(2, 5)),
    /big-endian/,
  );
  refuses(
    damaged((b) => b.writeUInt16LE(183, 18)),
    /is for AArch64/,
  );
  refuses(
    damaged((b) => b.writeUInt16LE(4711, 18)),
    /is for machine 4711/,
  );
  refuses(
    damaged((b) => b.writeUInt16LE(1, 16)),
    /object file/,
  );
  refuses(
    damaged((b) => b.writeUInt16LE(4, 16)),
    /core dump/,
  );
  refuses(
    damaged((b) => b.writeUInt16LE(0, 16)),
    /neither a program nor a library/,
  );
});

test("a file that ends within its headers is refused as truncated", () => {
  for (const length of [4, 19, 20, 63, 64, 100]) refuses(itself.subarray(0, length), /truncated/);
});

test("a segment at an impossible address is refused", () => {
  refuses(
    damaged((b) => {
      const first = Number(b.readBigUInt64LE(32));
      for (let index = 0; index < b.readUInt16LE(56); index += 1) {
        b.writeUInt32LE(1, first + 56 * index);
        b.writeUInt32LE(0x7fff0000, first + 56 * index + 20);
      }
    }),
    /impossible address/,
  );
});

test("section headers that are cut off cost the symbols, not the image", () => {
  const image = ElfImage.fromBytes(itself, "it");
  assert.equal(image.sections.length, 0);
  assert.match(image.warnings.join(), /section headers/);
  assert.ok(image.code.length > 0);
});

test("paths that cannot be read say why, and a FIFO does not hold us", needsGcc, () => {
  const fifo = join(folder, "fifo");
  run("mkfifo", fifo);
  mkdirSync(join(folder, "folder"));
  writeFileSync(join(folder, "file"), "");
  const open = (path: string) => () => ElfImage.open(path);
  assert.throws(open(fifo), /it is a FIFO, not a file/);
  assert.throws(open(join(folder, "folder")), /it is a directory/);
  assert.throws(open("/dev/null"), /it is a device/);
  assert.throws(open("/dev/zero"), /cannot read \/dev\/zero: it is a device/);
  assert.throws(open("/proc/self/mem"), /\/proc\/self\/mem is not an ELF file/);
  symlinkSync("loop", join(folder, "loop"));
  assert.throws(open(join(folder, "loop")), /cannot open .*loop: too many symbolic links/);
  assert.throws(open(join(folder, "none")), /cannot open .*none: no such file/);
  assert.throws(open(join(folder, "file", "x")), /not a directory/);
  assert.throws(open("/proc/4194999/exe"), TargetError);
  assert.throws(open("a\0b"), TargetError);
});

test("/proc/PID/exe of a running process opens as the program", () => {
  using image = ElfImage.open(`/proc/${process.pid}/exe`);
  using same = ElfImage.open(process.execPath);
  assert.equal(image.buildId, same.buildId);
  assert.ok(image.isProgram);
});

test("a closed image says so instead of reading some other file", () => {
  const image = ElfImage.open(process.execPath);
  image[Symbol.dispose]();
  image[Symbol.dispose]();
  assert.deepEqual(image.frameDescriptions(), []);
  assert.match(image.warnings.join(), /was closed/);
});

test("the vDSO is read from the memory of a process", () => {
  const maps = readFileSync("/proc/self/maps", "utf8");
  const [, first, last] = /^([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$/m.exec(maps) ?? assert.fail("no vDSO");
  const start = parseInt(first ?? "", 16) as Address;
  const end = parseInt(last ?? "", 16) as Address;
  const bytes = Buffer.alloc(end - start);
  const memory = openSync("/proc/self/mem", "r");
  assert.equal(readSync(memory, bytes, 0, bytes.length, start), bytes.length);
  closeSync(memory);
  const image = ElfImage.fromBytes(bytes, "[vdso]");
  const [location] = image.functions("__vdso_clock_gettime");
  assert.ok(location?.names.includes("clock_gettime"));
  assert.equal(image.soname, "linux-vdso.so.1");
  const piece = { start, end, offset: 0, executable: true, path: "[vdso]" };
  assert.equal(image.loadBias([piece]), start);
});

const MAIN = "int main(void) { return 0; }";

test("static, static-PIE, PIE, fixed and library images are told apart", needsGcc, () => {
  const facts = (name: string, source: string, ...flags: string[]) => {
    using image = ElfImage.open(build(folder, name, source, ...flags));
    const { type, isProgram, isStatic, interpreter, needed, soname } = image;
    assert.deepEqual(image.warnings, []);
    return { type, isProgram, isStatic, interpreter, needed: needed.join(), soname };
  };
  const interpreter = "/lib64/ld-linux-x86-64.so.2";
  const none = { interpreter: undefined, needed: "", soname: undefined };
  const dynamic = { interpreter, needed: "libc.so.6", soname: undefined };
  assert.deepEqual(facts("static", MAIN, "-static"), {
    type: "EXEC",
    isProgram: true,
    isStatic: true,
    ...none,
  });
  assert.deepEqual(facts("spie", MAIN, "-static-pie"), {
    type: "DYN",
    isProgram: true,
    isStatic: true,
    ...none,
  });
  assert.deepEqual(facts("pie", MAIN, "-pie"), { type: "DYN", isProgram: true, isStatic: false, ...dynamic });
  assert.deepEqual(facts("fixed", MAIN, "-no-pie"), {
    type: "EXEC",
    isProgram: true,
    isStatic: false,
    ...dynamic,
  });
  assert.deepEqual(
    facts("lib.so", "int f(void) { return 1; }", "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,lib.so.1"),
    {
      ...none,
      type: "DYN",
      isProgram: false,
      isStatic: false,
      soname: "lib.so.1",
    },
  );
});

test("the build-id is the one that readelf shows, with and without section headers", needsGcc, () => {
  const path = build(folder, "identified", MAIN);
  const expected = /Build ID: ([0-9a-f]+)/.exec(run("readelf", "-nW", path))?.[1];
  assert.ok(expected);
  using image = ElfImage.open(path);
  assert.equal(image.buildId, expected);
  const bytes = readFileSync(path);
  bytes.writeBigUInt64LE(0n, 40);
  bytes.writeUInt16LE(0, 60);
  assert.equal(ElfImage.fromBytes(bytes, "bare").buildId, expected);
  using without = ElfImage.open(build(folder, "unidentified", MAIN, "-Wl,--build-id=none"));
  assert.equal(without.buildId, undefined);
});

test("addresses and file offsets are converted both ways by the loaded segments", needsGcc, () => {
  using image = ElfImage.open(libcPath());
  for (const segment of image.segments.filter((one) => one.type === 1)) {
    assert.equal(image.fileOffset(segment.vaddr), segment.offset);
    assert.equal(image.vaddrAt(segment.offset + segment.fileSize - 1), segment.vaddr + segment.fileSize - 1);
  }
  const last = image.segments.filter((one) => one.type === 1).at(-1);
  assert.ok(last && last.memorySize > last.fileSize);
  assert.equal(image.fileOffset((last.vaddr + last.fileSize) as typeof last.vaddr), undefined);
});

test("an image is read on after its file was deleted or replaced", needsGcc, () => {
  const path = build(folder, "deleted", MAIN);
  using image = ElfImage.open(path);
  rmSync(path);
  build(folder, "deleted", "int main(void) { return 1; } int replaced(void) { return 2; }");
  assert.equal(image.functions("main").length, 1);
  assert.deepEqual(image.functions("replaced"), []);
});

test("a symbolic link opens as the file that it leads to", needsGcc, () => {
  const path = build(folder, "real", MAIN);
  const link = join(folder, "link");
  symlinkSync(path, link);
  using image = ElfImage.open(link);
  assert.equal(image.path, link);
  assert.equal(image.realPath, realpathSync(path));
});

test("the cache gives one image for one file, and another when the file is written anew", needsGcc, () => {
  using cache = new ImageCache();
  const path = build(folder, "cached", MAIN);
  const first = cache.open(path);
  assert.equal(cache.open(path), first);
  build(folder, "cached", "int other(void) { return 3; } int main(void) { return other(); }");
  const second = cache.open(path);
  assert.notEqual(second, first);
  assert.equal(second.functions("other").length, 1);
  assert.throws(() => cache.open(join(folder, "none")), TargetError);
});
