import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { UsageError } from "../../src/base/errors.js";
import { DescriptorWriter, openFile } from "../../src/output/descriptor-writer.js";
import { OutputError } from "../../src/output/output-error.js";

function inFolder(use: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "trapline-"));
    try {
      await use(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

function fifo(folder: string): string {
  const path = join(folder, "fifo");
  execFileSync("mkfifo", [path]);
  return path;
}

test(
  "what is written arrives in order, whatever the sizes",
  inFolder((folder) => {
    const path = join(folder, "out");
    const writer = openFile(path);
    let all = "";
    for (let i = 0; i < 400; i++) {
      const part = String.fromCharCode(i & 0xff).repeat((i * 7919) % 3000);
      all += part;
      writer.write(part);
    }
    const large = "\xfflarge".repeat(40_000);
    writer.write(large);
    writer.writeText("é");
    writer.close();
    assert.equal(readFileSync(path, "latin1"), `${all}${large}\xc3\xa9`);
  }),
);

test(
  "nothing is written before the buffer is full, a flush is asked for or the delay is over",
  inFolder((folder) => {
    const path = join(folder, "out");
    const writer = new DescriptorWriter(openSync(path, "w"), { name: path, owned: true, delay: 100 });
    const written = (): number => readFileSync(path).length;
    writer.write("abc");
    assert.equal(written(), 0);
    writer.flush();
    assert.equal(written(), 3);
    writer.write("d");
    writer.flushIfDue(performance.now() + 50);
    assert.equal(written(), 3);
    writer.flushIfDue(performance.now() + 150);
    assert.equal(written(), 4);
    writer.write("x".repeat(65_537));
    assert.equal(written(), 4 + 65_536);
    writer.close();
    assert.equal(written(), 5 + 65_536);
  }),
);

test("a full device is an output error that says what is lost, once", () => {
  const writer = new DescriptorWriter(openSync("/dev/full", "w"), { name: "/dev/full", owned: true });
  writer.write("abc");
  assert.throws(
    () => {
      writer.flush();
    },
    (error) => {
      assert.ok(error instanceof OutputError);
      assert.equal(error.message, "cannot write to /dev/full: the device is full (ENOSPC); 3 bytes are lost");
      assert.equal(error.remedy, "free some space or write elsewhere with -o");
      assert.deepEqual([error.code, error.bytesLost], ["ENOSPC", 3]);
      return true;
    },
  );
  assert.throws(() => {
    writer.write("more");
  }, OutputError);
  writer.close();
});

test(
  "a reader that has gone away is an output error, no signal",
  inFolder((folder) => {
    const path = fifo(folder);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = new DescriptorWriter(openSync(path, constants.O_WRONLY), {
      name: "the pipe",
      owned: true,
    });
    closeSync(reader);
    writer.write("abc");
    assert.throws(
      () => {
        writer.close();
      },
      { name: "OutputError", code: "EPIPE", message: /^cannot write to the pipe: its reader has gone away/ },
    );
  }),
);

test(
  "a slow reader of a non-blocking pipe gets everything",
  inFolder(async (folder) => {
    const path = fifo(folder);
    const copy = join(folder, "copy");
    const slow = spawn("sh", ["-c", `exec 3<"$1"; sleep 0.2; cat <&3 >"$2"`, "sh", path, copy], {
      stdio: "ignore",
    });
    const writer = new DescriptorWriter(openSync(path, constants.O_RDWR | constants.O_NONBLOCK), {
      name: path,
      owned: true,
    });
    const all = "0123456789abcdef".repeat(20_000);
    writer.write(all);
    // Closing would make the pipe's end unreadable to a reader that has not opened it yet.
    writer.flush();
    writer.close();
    await once(slow, "exit");
    assert.equal(readFileSync(copy, "latin1"), all);
  }),
);

test(
  "a reader that takes nothing is not waited for for ever",
  inFolder((folder) => {
    const path = fifo(folder);
    const descriptor = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const writer = new DescriptorWriter(descriptor, { name: path, owned: true, patience: 30 });
    assert.throws(
      () => {
        writer.write("x".repeat(1_000_000));
      },
      { name: "OutputError", code: "EAGAIN" },
    );
    writer.close();
  }),
);

test(
  "a file that cannot be opened is a usage error",
  inFolder((folder) => {
    assert.throws(() => openFile(join(folder, "none", "out")), {
      name: UsageError.name,
      message: /^cannot write to .*: ENOENT$/,
    });
  }),
);

test("a writer that may lose what it is given throws nothing, once and for all", () => {
  const writer = new DescriptorWriter(openSync("/dev/full", "w"), {
    name: "/dev/full",
    owned: true,
    lossy: true,
  });
  writer.writeText("lost");
  writer.flush();
  assert.equal(writer.broken, true);
  writer.writeText("lost too");
  writer.flushIfDue(Infinity);
  writer.close();
});
