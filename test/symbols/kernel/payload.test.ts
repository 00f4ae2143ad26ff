// Every way to pack a kernel, packed by the programs that the kernel's own build calls.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TargetError } from "../../../src/base/errors.js";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import { payloadOf } from "../../../src/symbols/kernel/payload/boot-image.js";
import { unpackPayload } from "../../../src/symbols/kernel/payload/unpack.js";
import { needs } from "../../support/needs.js";
import { temporaryFolder } from "../build-programs.js";
import { bootImage } from "./boot-image.js";

const folder = temporaryFolder();

/** Machine code, tables and text, as in a kernel; long zeroes; text that repeats at every distance. */
const CODE = codeOf(process.execPath, 1_200_000);
const CONTENT = Buffer.concat([
  CODE,
  Buffer.alloc(300_000),
  Buffer.from("kernel ".repeat(30_000)),
  CODE.subarray(100_000, 300_000),
]);

/** Some of the instructions of a large program. */
function codeOf(program: string, length: number): Buffer {
  using image = ElfImage.open(program, { debugRoots: [] });
  const text = image.code.reduce((one, other) =>
    other.end - other.start > one.end - one.start ? other : one,
  );
  return Buffer.from(image.bytesAt(text.start, length));
}

interface Packer {
  readonly format: string;
  readonly command: readonly [string, ...string[]];
  readonly package: string;
}

const PACKERS: readonly Packer[] = [
  { format: "gzip", command: ["gzip", "-n", "-9"], package: "gzip" },
  { format: "LZ4", command: ["lz4", "-l", "-9"], package: "lz4" },
  { format: "LZ4 in a hurry", command: ["lz4", "-l", "-1"], package: "lz4" },
  { format: "xz", command: ["xz", "--check=crc32", "--x86", "--lzma2=,dict=128MiB"], package: "xz-utils" },
  {
    format: "xz without a filter, with other properties",
    command: ["xz", "--check=crc64", "--lzma2=preset=6,lc=2,lp=2,pb=3"],
    package: "xz-utils",
  },
  {
    format: "xz in many blocks",
    command: ["xz", "--check=crc32", "--block-size=300001", "--x86", "--lzma2"],
    package: "xz-utils",
  },
  { format: "LZMA", command: ["xz", "--format=lzma", "-9"], package: "xz-utils" },
  { format: "bzip2", command: ["bzip2", "-9"], package: "bzip2" },
  { format: "bzip2 in many blocks", command: ["bzip2", "-1"], package: "bzip2" },
  { format: "zstd", command: ["zstd", "-q", "-22", "--ultra"], package: "zstd" },
  { format: "zstd in a hurry", command: ["zstd", "-q", "-1"], package: "zstd" },
];

function pack({ command: [name, ...words] }: Packer, content: Buffer): Buffer {
  const packed = execFileSync(name, [...words, "-c"], { input: content, maxBuffer: 2 ** 28 });
  // Its own size is in gzip's format already.
  return name === "gzip" ? packed.subarray(0, -4) : packed;
}

function unpack(image: Buffer): Buffer {
  return unpackPayload(payloadOf(image, "image"), "image");
}

for (const packer of PACKERS) {
  test(`a kernel packed by ${packer.format} comes out as it went in`, needs(packer.package), () => {
    assert.ok(unpack(bootImage(pack(packer, CONTENT), CONTENT.length)).equals(CONTENT));
  });

  test(
    `a damaged payload of ${packer.format} is refused by name, or nothing more than what it says comes out`,
    needs(packer.package),
    () => {
      const content = CONTENT.subarray(0, 40_000);
      const packed = pack(packer, content);
      let refused = 0;
      for (let at = 0; at < packed.length; at += Math.ceil(packed.length / 60)) {
        const changed = Buffer.from(packed);
        changed[at] = (changed[at] ?? 0) ^ 0x55;
        for (const [bytes, size] of [
          [changed, content.length],
          [packed.subarray(0, at), content.length],
          [packed, at],
        ] as const) {
          try {
            assert.equal(unpack(bootImage(bytes, size)).length, size);
          } catch (error) {
            assert.ok(error instanceof TargetError && error.message.includes("image"), String(error));
            refused += 1;
          }
        }
      }
      assert.ok(refused > 60, `${String(refused)} refused`);
    },
  );
}

test("what no kernel is packed with is said with how it begins", () => {
  const image = bootImage(Buffer.from("0badc0de0badc0de", "hex"), 8);
  assert.throws(
    () => unpack(image),
    /image: its kernel is packed in a way that is not known \(it begins with 0badc0de\)/,
  );
});

test("what is no kernel image is refused with a sentence that says what to name", () => {
  const file = join(folder, "file");
  for (const content of ["", "MZ", "#!/bin/sh\n", "x".repeat(5000)]) {
    writeFileSync(file, content);
    assert.throws(
      () => KernelImage.open(file),
      (error) =>
        error instanceof TargetError &&
        error.message === `${file} is no kernel image of x86-64` &&
        (error.remedy ?? "").includes("/boot/vmlinuz"),
    );
  }
  assert.throws(() => KernelImage.open(join(folder, "nothing")), /cannot open .*nothing: no such file/);
});

test("a header that promises too much is not believed", () => {
  const image = bootImage(Buffer.alloc(100), 50);
  image.writeUInt32LE(0xffff_ff00, 0x24c);
  assert.throws(
    () => payloadOf(image, "image"),
    /image is truncated or damaged: its kernel is said to lie in/,
  );
  assert.throws(
    () => payloadOf(bootImage(Buffer.alloc(100), 2 ** 29), "image"),
    /is said to unpack from 104 bytes/,
  );
  const old = bootImage(Buffer.alloc(100), 50);
  old.writeUInt16LE(0x207, 0x206);
  assert.throws(() => payloadOf(old, "image"), /from before Linux 2\.6\.24 \(boot protocol 2\.7\)/);
});
