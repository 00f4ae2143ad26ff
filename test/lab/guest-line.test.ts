// What is said to a guest's first program, and what is said when it does not answer.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { TargetError } from "../../src/base/errors.js";
import { GuestLine } from "../../src/targets/lab/guest-line.js";
import { Idleness } from "../../src/targets/lab/idleness.js";
import { PORTS } from "../../src/targets/lab/init-script.js";
import type { MachineEnd } from "../../src/targets/lab/machine-end.js";

/** The line, and the guest's end of it; the machine is a process that does what is told. */
async function withLine(
  program: string,
  use: (
    line: GuestLine,
    guest: ReturnType<typeof duplexPair>[0],
    end: (how: MachineEnd) => void,
  ) => Promise<void>,
): Promise<void> {
  const child = spawn("sh", ["-c", program], { stdio: "ignore" });
  await once(child, "spawn");
  const pairs = [0, 1, 2, 3].map(() => duplexPair());
  let end: (how: MachineEnd) => void = () => undefined;
  const ended = new Promise<MachineEnd>((resolve) => (end = resolve));
  const line = new GuestLine({
    ports: pairs.map(([ours]) => ours),
    pid: child.pid ?? 0,
    ended,
    console: () => "one\r\n\r\ntwo\r\n",
    idleFor: 300,
  });
  const guest = pairs[PORTS.control]?.[1];
  assert.ok(guest !== undefined);
  try {
    await use(line, guest, end);
  } finally {
    child.kill("SIGKILL");
  }
}

test("a line that begins with the word is the answer, in whatever pieces it comes", async () => {
  await withLine("exec sleep 100", async (line, guest) => {
    const answer = line.answer("loaded", 10_000, "nothing");
    for (const piece of ["\n\nother 1\nloa", "ded 17", "\n"]) guest.write(piece);
    assert.equal(await answer, "17");
  });
});

test("a guest that does nothing and does not answer is given up early, and the sentence says so", async () => {
  await withLine("exec sleep 100", async (line) => {
    await assert.rejects(line.answer("loaded", 100_000, "the guest did not take it"), (error) => {
      assert.ok(error instanceof TargetError);
      assert.match(
        error.message,
        /^the guest did not take it within \d+ s, and does nothing \(or is held at its stub\); its console said last: one \| two$/,
      );
      return true;
    });
  });
});

test("one that is busy is waited for", async () => {
  await withLine("while :; do :; done", async (line) => {
    await assert.rejects(
      line.answer("loaded", 1500, "the guest did not take it"),
      /^TargetError: the guest did not take it within 2 s; its console/,
    );
  });
});

test("the machine's end is told instead of an answer", async () => {
  await withLine("exec sleep 100", async (line, _guest, end) => {
    const answer = line.answer("exited", Infinity, "");
    end({ kind: "powered-off" });
    await assert.rejects(answer, /the guest powered the machine off; its console said last: one \| two/);
  });
});

test("idle is who neither runs nor waits for a processor", () => {
  let [at, busy] = [0, 0 as number | undefined];
  const idleness = new Idleness(
    1,
    () => at,
    () => busy,
  );
  const after = (time: number, work: number): number => {
    at += time;
    if (busy !== undefined) busy += work;
    return idleness.milliseconds();
  };
  assert.equal(after(100, 1), 100);
  assert.equal(after(100, 5), 200);
  assert.equal(after(100, 50), 0);
  assert.equal(after(100, 0), 100);
  busy = undefined;
  assert.equal(after(100, 0), 0, "nobody knows");
});
