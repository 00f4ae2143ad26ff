// The client over a line that misbehaves: each kind of misbehaviour by itself, then all together, drawn by seed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TraplineError } from "../../../../src/base/errors.js";
import { GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import { StubError } from "../../../../src/targets/gdb/protocol/errors.js";
import { Random } from "../../../fuzz/random.js";
import { FAULTS, Line, type LineFault, Tape } from "./line.js";
import { Machine } from "./machine.js";
import { ABLE, ModelStub } from "./model-stub.js";
import { runSession } from "./session.js";

const NAME = "the-stub";

/** The byte of a tape that says so. */
const byteOf = (fault: LineFault): number => (fault === "none" ? 0 : 127 + FAULTS.indexOf(fault));

interface Outcome {
  readonly right: number;
  readonly end: string;
}

function outcome(tape: Uint8Array, seed: number): Outcome {
  try {
    return { right: runSession(tape, new Random(seed), NAME).right, end: "" };
  } catch (error) {
    if (!(error instanceof TraplineError)) throw error;
    return { right: 0, end: error.message };
  }
}

test("without misbehaviour every answer is right, whatever the stub can do", () => {
  for (let seed = 0; seed < 100; seed++) {
    const { right, errors } = runSession(new Uint8Array(0), new Random(seed), NAME);
    assert.deepEqual(errors, []);
    assert.ok(right > 0);
  }
});

for (const fault of FAULTS.slice(1)) {
  test(`a line with ${fault} now and then: right answers or a sentence, within the time`, () => {
    let right = 0;
    const sentences = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed * 7919);
      const tape = new Uint8Array(1500);
      for (let at = random.below(60); at < tape.length; at += 2 + random.below(200)) {
        tape[at] = byteOf(fault);
        tape[at + 1] = random.below(128);
      }
      const result = outcome(tape, seed);
      right += result.right;
      if (result.end !== "") sentences.add(result.end);
    }
    for (const sentence of sentences) assert.match(sentence, /the-stub/);
    assert.ok(right > 0 || sentences.size > 0);
  });
}

/** Misbehaviour that the protocol is made for: where packets are acknowledged all answers are right. */
for (const fault of [
  "damage",
  "lose-a-byte",
  "garbage-before",
  "garbage-behind",
  "split",
  "damage-question",
  "notification-before",
  "joined-ack",
] as const) {
  test(`${fault} is put right where packets are acknowledged`, () => {
    const machine = new Machine();
    const tape = new Uint8Array(400);
    for (let at = 6; at < tape.length; at += 9) {
      tape[at] = byteOf(fault);
      tape[at + 1] = at % 128;
    }
    const line = new Line(NAME, new Tape(tape), { ms: 0 });
    const stub = new ModelStub(machine, { ...ABLE, noAck: false, packetSize: 256 }, (bytes) =>
      line.deliver(bytes),
    );
    line.onWrite = (bytes) => stub.receive(bytes);
    using client = GdbClient.over(line, { times: { ackWithin: 50, answerWithin: 1000, quietFor: 100 } });
    const into = new Uint8Array(2 * 4096);
    assert.equal(client.readMemory(0x40_0000 as never, into), into.length);
    assert.deepEqual(into, machine.read(0x40_0000, into.length));
    assert.ok((line.used.get(fault) ?? 0) > 3, `${String(line.used.get(fault))} times`);
  });
}

test("after an answer that did not come nothing is asked any more, and the same error is thrown", () => {
  const tape = new Uint8Array(40);
  tape[39] = byteOf("silence");
  const machine = new Machine();
  const line = new Line(NAME, new Tape(tape), { ms: 0 });
  const stub = new ModelStub(machine, ABLE, (bytes) => line.deliver(bytes));
  line.onWrite = (bytes) => stub.receive(bytes);
  using client = GdbClient.over(line, { times: { answerWithin: 1000 } });
  let first: unknown;
  for (let index = 0; index < 50 && first === undefined; index++) {
    const start = line.time;
    try {
      client.threads();
    } catch (error) {
      first = error;
      assert.ok(line.time - start < 1100);
    }
  }
  assert.ok(first instanceof StubError);
  assert.equal(first.kind, "silent");
  assert.match(first.message, /^the-stub: the stub does not answer/);
  const { writes } = line;
  assert.throws(
    () => client.readMemory(0x40_0000 as never, new Uint8Array(4)),
    (error) => error === first,
  );
  assert.throws(
    () => client.continueAll(),
    (error) => error === first,
  );
  assert.equal(line.writes, writes);
});

test("misbehaviour of all kinds, drawn by seed: a right answer or a sentence", () => {
  let right = 0;
  let ended = 0;
  for (let seed = 0; seed < 300; seed++) {
    const random = new Random(seed * 104729);
    const apart = random.pick([2, 5, 20, 60, 300]);
    const tape = new Uint8Array(2000);
    for (let at = random.below(apart); at < tape.length; at += 1 + random.below(2 * apart)) {
      tape[at] = 128 + random.below(128);
      tape[at + 1] = random.below(256);
    }
    const result = outcome(tape, seed);
    right += result.right;
    if (result.end !== "") ended++;
  }
  assert.ok(right > 100 && ended > 100, `${String(right)} right, ${String(ended)} ended`);
});
