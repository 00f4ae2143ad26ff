// Sessions with KGDB as they were recorded: the command line asks what it asked then, and comes to the same end.
// Recorded by `npm run kgdb -- --record=test/targets/gdb/kgdb/recordings`, which boots the kernel that answered.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { KernelImage } from "../../../../src/symbols/kernel/image.js";
import { framed, LineReader } from "./line-reader.js";
import { formatRecording, parseRecording, type Recording } from "./recording.js";
import { expandedImage } from "./reduced-image.js";
import { Replay } from "./replay.js";
import { startSession } from "./run-session.js";
import { problems, SESSIONS } from "./sessions.js";

/** Compiled, this file is in build/test/targets/gdb/kgdb. */
const RECORDINGS = fileURLToPath(
  new URL("../../../../../test/targets/gdb/kgdb/recordings/", import.meta.url),
);
const folder = mkdtempSync(join(tmpdir(), "trapline-replay-"));
const kernel = join(folder, "vmlinux");
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

function recording(name: string): Recording {
  return parseRecording(readFileSync(join(RECORDINGS, `${name}.txt`), "latin1"), name);
}

describe("KGDB as it was recorded", { concurrency: false }, () => {
  before(() => {
    writeFileSync(kernel, expandedImage(join(RECORDINGS, "kernel.br")));
  });

  test("the image that is kept is that of the kernel that answered", () => {
    using image = KernelImage.open(kernel);
    for (const { name } of SESSIONS) assert.equal(recording(name).banner, image.banner, name);
  });

  for (const session of SESSIONS)
    test(`${session.name}: ${session.shows}`, async () => {
      const { outcome: recorded, conversation } = recording(session.name);
      const interrupts = conversation.filter(({ kind }) => kind === "signal").length;
      assert.equal(
        interrupts,
        session.interruptedAfter === undefined ? 0 : 1,
        "Ctrl-C as the session has it",
      );
      const path = join(folder, session.name);
      await using replay = await Replay.open(path, conversation, {
        signalDue: () => {
          running.interrupt();
        },
      });
      const running = startSession(session, path, kernel);
      const outcome = await running.ended;
      assert.equal(replay.difference, undefined, outcome.stderr);
      assert.deepEqual(outcome, recorded);
      assert.deepEqual(problems(session, outcome), []);
    });

  test("every recording is of a session", () => {
    const names = readdirSync(RECORDINGS).filter((name) => name.endsWith(".txt"));
    assert.deepEqual(names.sort(), SESSIONS.map(({ name }) => `${name}.txt`).sort());
  });

  test("another question than was recorded ends the session, and is told with its place", async () => {
    const { conversation } = recording("connect-and-leave");
    const at = conversation.findIndex(({ kind, text }) => kind === "client" && text.startsWith("m"));
    const other = conversation.with(at, { kind: "client", text: "m0,1" });
    const path = join(folder, "other");
    await using replay = await Replay.open(path, other);
    const [session] = SESSIONS;
    assert.ok(session !== undefined && at > 0);
    const { status } = await startSession(session, path, kernel).ended;
    assert.equal(status, 2);
    assert.match(
      replay.difference ?? "",
      /^at line \d+ of \d+ the client said "m0,1" when it was recorded, and says "m/,
    );
  });

  test("a client that leaves too early is told", async () => {
    const path = join(folder, "early");
    await using replay = await Replay.open(path, [
      { kind: "client", text: "?" },
      { kind: "stub", text: "S05" },
      { kind: "client", text: "D" },
    ]);
    const client = createConnection(path);
    client.write(framed("?"));
    const said: string[] = [];
    const reader = new LineReader({
      packet: (text) => said.push(text),
      acknowledged: (mark) => said.push(mark),
      interrupted: () => undefined,
      stray: (text) => said.push(text),
    });
    while (said.length < 2) reader.add(((await once(client, "data")) as [Buffer])[0]);
    client.destroy();
    assert.deepEqual(said, ["+", "S05"]);
    assert.match(replay.difference ?? "", /the client was to go on with "D", and left/);
  });
});

test("a recording is read as it was written, whatever bytes it has", () => {
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));
  const made: Recording = {
    banner: "Linux version 0",
    outcome: { stdout: "a\n\n b \n", stderr: "", status: 0 },
    conversation: [
      { kind: "client", text: all },
      { kind: "stub", text: "" },
      { kind: "console", text: "\r\n" },
      { kind: "interrupt", text: "" },
      { kind: "signal", text: "" },
      { kind: "stub", text: "\\x41 " },
    ],
  };
  assert.deepEqual(parseRecording(formatRecording(made), "made"), made);
});

test("packets are found in a line however its bytes are cut", () => {
  const line = Buffer.from(`+${framed("g")}noise$brok${framed("Z0,1,1")}-\x03`, "latin1");
  for (let cut = 1; cut <= line.length; cut++) {
    const said: string[] = [];
    const reader = new LineReader({
      packet: (text) => said.push(`packet ${text}`),
      acknowledged: (mark) => said.push(mark),
      interrupted: () => said.push("interrupt"),
      stray: (text) => said.push(`stray ${text}`),
    });
    for (let at = 0; at < line.length; at += cut) reader.add(line.subarray(at, at + cut));
    const joined = said.join(";").replace(/(?<=stray \w*);stray /g, "");
    assert.equal(joined, "+;packet g;stray noise;packet Z0,1,1;-;interrupt", String(cut));
  }
});
