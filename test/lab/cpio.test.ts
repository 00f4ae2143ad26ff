// The archive is what the kernel's own unpacker takes; cpio of busybox reads it back here.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cpioArchive } from "../../src/targets/lab/cpio.js";
import { needs } from "../support/needs.js";

test("an archive is unpacked to what went into it, whatever the lengths", needs("busybox-static"), () => {
  const folder = mkdtempSync(join(tmpdir(), "trapline-cpio-"));
  try {
    const lengths = [0, 1, 2, 3, 4, 5, 1000];
    const archive = cpioArchive([
      { kind: "folder", path: "sub", mode: 0o700 },
      ...lengths.map((length) => ({
        kind: "file" as const,
        path: `sub/${"n".repeat(1 + (length % 7))}${String(length)}`,
        bytes: Buffer.alloc(length, "x"),
        mode: 0o640,
      })),
      { kind: "link", path: "sub/link", to: "elsewhere" },
    ]);
    execFileSync("busybox", ["cpio", "-idm"], {
      cwd: folder,
      input: archive,
      stdio: ["pipe", "ignore", "pipe"],
    });
    for (const length of lengths) {
      const path = join(folder, `sub/${"n".repeat(1 + (length % 7))}${String(length)}`);
      assert.equal(readFileSync(path, "latin1"), "x".repeat(length));
      assert.equal(lstatSync(path).mode & 0o777, 0o640);
    }
    assert.equal(readlinkSync(join(folder, "sub/link")), "elsewhere");
    assert.equal(lstatSync(join(folder, "sub")).mode & 0o777, 0o700);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
