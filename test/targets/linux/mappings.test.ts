import assert from "node:assert/strict";
import { test } from "node:test";
import { TargetError } from "../../../src/base/errors.js";
import { fileNameBytes, fileNameOf } from "../../../src/base/file-name.js";
import { parseMappings } from "../../../src/targets/mappings.js";
import { parseStat, StatusFields } from "../../../src/targets/process-status.js";

const LINE = "7f0000000000-7f0000001000 r-xp 00001000 fe:01 17                         ";

test("a mapping is found whatever its file is called, and by that name", () => {
  for (const [shown, path] of [
    ["/a\rb", "/a\rb"],
    ["/a\u2028b", "/a\u2028b"],
    ["/a\\012b", "/a\nb"],
    ["/a\\101b", "/a\\101b"],
    ["/a  b ", "/a  b "],
  ] as const) {
    assert.deepEqual(
      parseMappings(`${LINE}${shown}\n`, "maps").map((mapping) => mapping.path),
      [path],
    );
  }
});

test("names that are no text stay apart, and lead back to their bytes", () => {
  for (const bytes of [
    Buffer.of(0x2f, 0xe9),
    Buffer.of(0x2f, 0xe8, 0x80),
    Buffer.of(0xf0, 0x9f, 0x98, 0x80, 0xff),
  ]) {
    const name = fileNameOf(bytes);
    assert.notEqual(name, bytes.toString("utf8"));
    assert.deepEqual(fileNameBytes(name), bytes);
  }
  assert.notEqual(fileNameOf(Buffer.of(0xe9)), fileNameOf(Buffer.of(0xe8)));
  for (const text of ["/usr/bin/café", "/😀", "/\ufffd"]) {
    assert.equal(fileNameOf(Buffer.from(text)), text);
    assert.equal(fileNameBytes(text), text);
  }
});

test("what is not understood of a file of /proc is said with its name and its place", () => {
  const refused = (read: () => unknown, sentence: RegExp): void => {
    assert.throws(read, (error) => error instanceof TargetError && sentence.test(error.message));
  };
  refused(
    () => parseMappings(`${LINE}\n7f-\n`, "/proc/7/maps"),
    /^\/proc\/7\/maps, line 2 is not understood: 7f-$/,
  );
  const status = new StatusFields("Name:\tx\nUid:\tmany\nSigBlk:\t-1\n", "/proc/7/status");
  refused(() => status.number("Uid"), /^\/proc\/7\/status: Uid is no number: many$/);
  refused(() => status.mask("SigBlk"), /^\/proc\/7\/status: SigBlk is no mask: -1$/);
  refused(() => status.mask("SigCgt"), /^\/proc\/7\/status has no SigCgt$/);
  const rest = Array.from({ length: 48 }, () => "0");
  assert.equal(parseStat(`7 (a) b) (\n) S ${rest.join(" ")}\n`, "stat")[0], "S");
  refused(
    () => parseStat(`7 (x) S ${rest.with(3, "-").join(" ")}\n`, "/proc/7/stat"),
    /^\/proc\/7\/stat: field 7 is/,
  );
  refused(() => parseStat("7 (x) S 1 2", "/proc/7/stat"), /^\/proc\/7\/stat has 5 fields/);
});
