import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  escapeBinary,
  type Found,
  FRAME_BYTES,
  framePacket,
  PacketReader,
  unescapeBinary,
} from "../../../../src/targets/gdb/protocol/packets.js";
import { encodeRuns, escape, frame } from "./model-stub.js";

const LIMIT = 5000;

/** What a reader finds in a stream that comes in these pieces. */
function read(stream: Uint8Array, cuts: readonly number[], limit = LIMIT): [Found, string][] {
  const reader = new PacketReader(limit);
  const found: [Found, string][] = [];
  const places = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b);
  let start = 0;
  for (const end of [...places, stream.length]) {
    // In memory that is used again: nothing may be left to be read later.
    const piece = Uint8Array.from(stream.subarray(start, end));
    reader.feed(piece, piece.length);
    start = end;
    for (let what = reader.next(); what !== "nothing"; what = reader.next()) {
      const isData = what === "packet" || what === "notification";
      found.push([
        what,
        isData ? Buffer.from(reader.data.subarray(0, reader.length)).toString("latin1") : "",
      ]);
    }
    piece.fill(0);
  }
  return found;
}

/** Data that needs no escapes. */
const plain = fc
  .uint8Array({ maxLength: 300 })
  .map((bytes) => Buffer.from(bytes.filter((byte) => ![0x23, 0x24, 0x2a, 0x7d].includes(byte))));
const cuts = fc.array(fc.nat(), { maxLength: 12 });

test("packets split and joined anywhere are the same packets", () => {
  const piece = fc.oneof(
    plain.map((data) => ({
      bytes: frame(data),
      found: ["packet", data.toString("latin1")] as [Found, string],
    })),
    plain.map((data) => ({
      bytes: frame(encodeRuns(data)),
      found: ["packet", data.toString("latin1")] as [Found, string],
    })),
    plain.map((data) => ({
      bytes: Buffer.concat([Buffer.from("%"), frame(data).subarray(1)]),
      found: ["notification", data.toString("latin1")] as [Found, string],
    })),
    fc.constantFrom<{ bytes: Buffer; found: [Found, string] }>(
      { bytes: Buffer.from("+"), found: ["ack", ""] },
      { bytes: Buffer.from("-"), found: ["nak", ""] },
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), cuts, (pieces, where) => {
      const stream = Buffer.concat(pieces.map(({ bytes }) => bytes));
      assert.deepEqual(
        read(stream, where),
        pieces.map(({ found }) => found),
      );
    }),
    { numRuns: 500 },
  );
});

test("whatever bytes come, the reader takes them all, and holds no more than its limit", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(60), (bytes, limit) => {
      for (const [what, data] of read(bytes, [], limit))
        if (what === "packet") assert.ok(data.length <= limit);
      // Behind an interrupted packet a whole one is found.
      const found = read(Buffer.concat([bytes, frame(Buffer.from("whole"))]), [3, 100, 200], LIMIT);
      assert.equal(found.at(-1)?.[1], "whole");
    }),
    { numRuns: 500 },
  );
});

test("one changed byte is found out", () => {
  fc.assert(
    fc.property(plain, fc.nat(), fc.integer({ min: 1, max: 255 }), (data, where, change) => {
      const packet = frame(data);
      const at = 1 + (where % Math.max(1, data.length));
      const byte = (packet[at] ?? 0) ^ change;
      // A byte of the form makes another packet of it; the checksum of eight bits finds those mostly.
      if (data.length === 0 || [0x23, 0x24, 0x2a].includes(byte)) return;
      packet[at] = byte;
      assert.deepEqual(read(packet, []), [["damaged", ""]]);
    }),
  );
});

test("a damaged notification is nothing: nobody sends it again", () => {
  assert.deepEqual(read(Buffer.from("%Stop:T05#00$OK#9a"), [7]), [["packet", "OK"]]);
});

test("runs are decoded, and a run of nothing or with a count that is none is damage", () => {
  assert.deepEqual(read(Buffer.from("$0* #7a"), []), [["packet", "0000"]]);
  assert.equal(read(frame(Buffer.from("* ")), [])[0]?.[0], "damaged");
  assert.equal(read(frame(Buffer.from("0*\u0001")), [])[0]?.[0], "damaged");
});

test("a packet longer than the limit is told as such, and what follows is read", () => {
  const long = frame(Buffer.alloc(LIMIT + 1, "a"));
  const runs = frame(Buffer.concat([Buffer.alloc(LIMIT, "a"), Buffer.from("*~")]));
  const stream = Buffer.concat([long, frame(Buffer.from("OK")), runs, frame(Buffer.alloc(LIMIT, "b"))]);
  assert.deepEqual(
    read(stream, [10, 4000, 5003]).map(([what, data]) => [what, data.slice(0, 2)]),
    [
      ["endless", ""],
      ["packet", "OK"],
      ["endless", ""],
      ["packet", "bb"],
    ],
  );
});

test("what we frame and escape is what the other side takes apart", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(400), (bytes, limit) => {
      const into = new Uint8Array(700);
      const { taken, end } = escapeBinary(bytes, 0, bytes.length, into, 0, limit);
      assert.ok(end <= limit);
      assert.ok(taken === bytes.length || end >= limit - 1);
      assert.deepEqual(Buffer.from(into.subarray(0, end)), escape(Buffer.from(bytes.subarray(0, taken))));
      const framed = new Uint8Array(end + FRAME_BYTES);
      assert.equal(framePacket(into, end, framed), framed.length);
      assert.deepEqual(Buffer.from(framed), frame(Buffer.from(into.subarray(0, end))));
      const back = unescapeBinary(into, 0, end);
      assert.deepEqual(into.subarray(0, back), bytes.subarray(0, taken));
    }),
    { numRuns: 500 },
  );
  assert.equal(unescapeBinary(Uint8Array.of(0x41, 0x7d), 0, 2), -1);
});
