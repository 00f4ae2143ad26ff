import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Address, type AddressRange, offsetBy } from "../../src/base/address.js";
import { Gaps } from "../../src/arch/x86_64/trampoline/gaps.js";
import { JumpTargets } from "../../src/arch/x86_64/trampoline/jump-bytes.js";
import { anywhereIn } from "../../src/arch/x86_64/trampoline/reach.js";
import {
  type Area,
  type Reservation,
  TrampolineSpace,
  type Wanted,
} from "../../src/arch/x86_64/trampoline/trampoline-space.js";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TEXT = 0x7f12_3456_7000 as Address;
const LIBRARIES = range(TEXT - 16 * MIB, TEXT + 64 * MIB);
const STACK = range(0x7ffe_0000_0000, 0x7ffe_0002_1000);

function range(start: number, end: number): AddressRange {
  return { start: start as Address, end: end as Address };
}

function around(at: Address): AddressRange {
  return range(at - 2 * GIB + 4096, at + 2 * GIB - 4096);
}

/** A trampoline for a jump. */
function wantedFor(at: Address, inner: readonly number[], room = 100): Wanted {
  return { room, targets: new JumpTargets(at, 5, inner), starts: around(at), near: offsetBy(at, -GIB) };
}

function overlaps(one: AddressRange, other: AddressRange): boolean {
  return one.start < other.end && other.start < one.end;
}

function holds(outer: AddressRange, inner: AddressRange): boolean {
  return inner.start >= outer.start && inner.end <= outer.end;
}

function piecesOf({ entry, body, room }: Reservation): AddressRange[] {
  const whole = range(body, body + room);
  return entry === body ? [whole] : [whole, range(entry, entry + 5)];
}

/** Everything that must be true of a space at any time. */
function check(
  space: TrampolineSpace,
  mapped: readonly AddressRange[],
  held: ReadonlyMap<Reservation, Wanted>,
): void {
  const { areas } = space;
  areas.forEach((area, index) => {
    assert.ok(area.start % 4096 === 0 && area.end % 4096 === 0 && area.start < area.end);
    assert.equal(area.protection, area.kind === "code" ? "r-x" : "rw-", "never writable and executable");
    for (const other of areas.slice(index + 1)) assert.ok(!overlaps(area, other), "areas overlap");
    for (const other of mapped) assert.ok(!overlaps(area, other), "an area where the program has something");
  });
  const pieces: AddressRange[] = [];
  for (const [reservation, wanted] of held) {
    const { entry, body, data, room } = reservation;
    assert.equal(room, wanted.room);
    assert.equal(wanted.targets.next(entry), entry, "the jump does not lead to it");
    assert.ok(body >= wanted.starts.start && body < wanted.starts.end, "the body is out of reach");
    assert.ok(Math.abs(entry - body) < 2 * GIB, "the stub does not lead to the body");
    assert.ok(areas.includes(data) && data.kind === "data");
    for (const byte of [body, body + room])
      for (const word of [data.start, data.end])
        assert.ok(Math.abs(byte - word) <= 2 * GIB, "data out of reach of its code");
    for (const piece of piecesOf(reservation)) {
      assert.ok(
        areas.some((area) => area.kind === "code" && holds(area, piece)),
        "outside of code",
      );
      pieces.push(piece);
    }
  }
  pieces.sort((one, other) => one.start - other.start);
  pieces.forEach((piece, index) => {
    const next = pieces[index + 1];
    assert.ok(next === undefined || piece.end <= next.start, "two trampolines overlap");
  });
}

function reserved(space: TrampolineSpace, wanted: Wanted, mapped: readonly AddressRange[]): Reservation {
  return space.reserve(wanted, mapped) ?? assert.fail("no room");
}

void test("trampolines share their areas; freed room is used again, and empty areas are told", () => {
  const space = new TrampolineSpace({ dataLength: MIB });
  const mapped = [LIBRARIES, STACK];
  const held = new Map<Reservation, Wanted>();
  for (let index = 0; index < 600; index++) {
    const wanted = wantedFor(offsetBy(TEXT, 64 * index), []);
    held.set(reserved(space, wanted, mapped), wanted);
  }
  check(space, mapped, held);
  assert.equal(space.areas.filter(({ kind }) => kind === "code").length, 1);
  assert.equal(space.areas.filter(({ kind }) => kind === "data").length, 1);
  assert.deepEqual(space.unused, []);
  const first = [...held.keys()][0] ?? assert.fail();
  space.release(first);
  assert.throws(() => space.release(first), /twice/);
  held.delete(first);
  const again = reserved(space, wantedFor(TEXT, []), mapped);
  assert.equal(again.body, first.body);
  for (const reservation of [again, ...held.keys()]) space.release(reservation);
  assert.equal(space.unused.length, 2);
  for (const area of space.pending) space.confirm(area);
  for (const area of space.unused) space.lose(area);
  assert.deepEqual(space.areas, []);
});

void test("what is mapped is not beside what the program has, as long as there is other room", () => {
  const space = new TrampolineSpace({ dataLength: 4096, margin: 16 * MIB });
  const wanted = { ...wantedFor(TEXT, []), near: TEXT };
  reserved(space, wanted, [LIBRARIES]);
  for (const { start, end } of space.areas)
    assert.ok(end <= LIBRARIES.start - 16 * MIB || start >= LIBRARIES.end + 16 * MIB);
  const tight = new TrampolineSpace({ dataLength: 4096, margin: 16 * MIB });
  // Two holes of 1 MiB, and nothing else in reach.
  const full = [range(0x10000, TEXT - MIB), range(TEXT, TEXT + MIB), range(TEXT + 2 * MIB, 2 ** 47 - 4096)];
  const held = new Map([[reserved(tight, wanted, full), wanted]]);
  check(tight, full, held);
});

void test("where nothing is free there is no room, and nothing is left to map", () => {
  const space = new TrampolineSpace({ dataLength: 4096 });
  assert.equal(space.reserve(wantedFor(TEXT, []), [range(0x10000, 2 ** 47)]), undefined);
  // A page for code, but none for its data.
  const full = [range(0x10000, TEXT), range(TEXT + 4096, 2 ** 47)];
  assert.equal(space.reserve(wantedFor(TEXT, []), full), undefined);
  assert.deepEqual(space.areas, []);
  assert.deepEqual(space.pending, []);
});

void test("an area that could not be mapped is given up with what was in it, and the next try is elsewhere", () => {
  const space = new TrampolineSpace({ dataLength: 4096 });
  const wanted = wantedFor(TEXT, [4]);
  const reservation = reserved(space, wanted, [LIBRARIES]);
  const area = space.pending.find(({ kind }) => kind === "code") as Area;
  assert.deepEqual(space.lose(area), [reservation]);
  const mapped = [LIBRARIES, area];
  const other = reserved(space, wanted, mapped);
  check(space, mapped, new Map([[other, wanted]]));
  // Its data is lost: so is the code, which is mapped and has to go.
  for (const each of space.pending) space.confirm(each);
  assert.deepEqual(space.lose(other.data), [other]);
  assert.deepEqual(
    space.unused.map(({ kind }) => kind),
    ["code"],
  );
  const third = reserved(space, wanted, mapped);
  check(space, mapped, new Map([[third, wanted]]));
});

void test("code far from all data gets data of its own", () => {
  const space = new TrampolineSpace({ dataLength: MIB });
  const texts = [TEXT, 0x5555_5555_0000 as Address, 0x40_1000 as Address];
  const mapped = texts.map((at) => range(at - 4096, at + 4 * MIB));
  const held = new Map(
    texts.map((at) => {
      const wanted = { ...wantedFor(at, []), near: at };
      return [reserved(space, wanted, mapped), wanted] as const;
    }),
  );
  check(space, mapped, held);
  assert.equal(space.areas.filter(({ kind }) => kind === "data").length, 3);
});

const aJump = fc.record({
  text: fc.constantFrom(TEXT, 0x5555_5555_0000, 0x40_1000),
  offset: fc.nat({ max: 8 * MIB }),
  inner: fc.subarray([1, 2, 3, 4]),
  room: fc.integer({ min: 40, max: 400 }),
});
const anAction = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("reserve" as const), jump: aJump }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("release" as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const), pick: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("map" as const), at: fc.nat(), length: fc.nat({ max: 64 }) }),
  },
);

void test("whatever is reserved, freed, lost and mapped in whatever order: nothing overlaps, all is in reach", (t) => {
  let asked = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.array(anAction, { minLength: 20, maxLength: 80 }), (actions) => {
      const space = new TrampolineSpace({ dataLength: 64 * 1024, codeLength: 8192 });
      const mapped = [
        LIBRARIES,
        STACK,
        range(0x5555_5555_0000, 0x5555_5655_0000),
        range(0x40_0000, 0x140_0000),
      ];
      const held = new Map<Reservation, Wanted>();
      for (const action of actions) {
        if (action.kind === "reserve") {
          const { text, offset, inner, room } = action.jump;
          const wanted = wantedFor((text + offset) as Address, inner, room);
          const reservation = space.reserve(wanted, mapped);
          asked++;
          if (reservation === undefined) refused++;
          else held.set(reservation, wanted);
        } else if (action.kind === "release") {
          const reservation = [...held.keys()][action.pick % Math.max(1, held.size)];
          if (reservation === undefined) continue;
          space.release(reservation);
          held.delete(reservation);
        } else if (action.kind === "lose") {
          const area = space.areas[action.pick % Math.max(1, space.areas.length)];
          if (area === undefined) continue;
          for (const reservation of space.lose(area)) held.delete(reservation);
        } else {
          // The program maps something, where nothing is.
          const start = 0x10000 + (action.at % 2 ** 30) * 4096;
          const own = range(start, start + (action.length + 1) * 4096);
          if (![...mapped, ...space.areas].some((each) => overlaps(each, own))) mapped.push(own);
        }
        check(space, mapped, held);
      }
      for (const reservation of held.keys()) space.release(reservation);
      assert.deepEqual(new Set(space.unused), new Set(space.areas));
    }),
    { numRuns: 150 },
  );
  t.diagnostic(`${String(asked)} trampolines, no room for ${String(refused)}`);
});

void test("gaps: as a set of bytes would have it", () => {
  const step = fc.tuple(fc.boolean(), fc.nat({ max: 60 }), fc.integer({ min: 1, max: 12 }));
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 9 }),
      fc.nat({ max: 70 }),
      (steps, size, from) => {
        const gaps = new Gaps();
        const free = new Set<number>();
        for (const [adds, start, length] of steps) {
          const piece = range(start, start + length);
          if (adds) gaps.add(piece);
          else gaps.remove(piece);
          for (let at = start; at < start + length; at++)
            if (adds) free.add(at);
            else free.delete(at);
        }
        const bytes = gaps.all.flatMap(({ start, end }) =>
          Array.from({ length: end - start }, (_, index) => start + index),
        );
        assert.deepEqual(
          bytes,
          [...free].sort((one, other) => one - other),
        );
        gaps.all.forEach(({ start }, index) => {
          assert.ok(index === 0 || (gaps.all[index - 1]?.end ?? 0) < start, "two that touch");
        });
        const fits = (at: number): boolean =>
          Array.from({ length: size }, (_, index) => at + index).every((each) => free.has(each));
        const expected = Array.from({ length: 80 }, (_, at) => at).find((at) => at >= from && fits(at));
        assert.equal(gaps.find(anywhereIn(range(from, 80)), size), expected);
      },
    ),
  );
});
