import { type Edit, overwrite, truncateAt } from "./edits.js";
import { type Place, type PlaceGroup, placesOf } from "./elf-places.js";
import { littleEndian, trickyInteger } from "./integers.js";
import type { Random } from "./random.js";
import { u16, u64 } from "./raw-fields.js";
import type { Original } from "./reader.js";

const known = new WeakMap<Buffer, readonly PlaceGroup[]>();

function groupsOf({ bytes }: Original): readonly PlaceGroup[] {
  const found = known.get(bytes) ?? placesOf(bytes);
  known.set(bytes, found);
  return found;
}

/** One to eight things done to a file, most of them to fields that lead somewhere. */
export function mutateElf(original: Original, random: Random): Edit[] {
  const { bytes } = original;
  const groups = groupsOf(original);
  const edits: Edit[] = [];
  // Without section headers everything must be found by way of the dynamic segment.
  if (random.once(4) && bytes.length >= 64) edits.push(overwrite(40, littleEndian(0n, 8)));
  const rounds = 1 + random.below(1 + random.below(8));
  for (let round = 0; round < rounds; round += 1) edits.push(...oneChange(bytes, groups, random));
  if (random.once(12)) edits.push(truncateAt(random.below(bytes.length), bytes.length));
  return edits;
}

function oneChange(bytes: Buffer, groups: readonly PlaceGroup[], random: Random): Edit[] {
  const group = random.pick(groups);
  const place = random.pick(group.places);
  const anywhere = random.below(bytes.length);
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return [overwrite(place.at, littleEndian(trickyInteger(bytes.length, random), place.size))];
    case 4: {
      // Another field's value: parts that overlap, tables that point at each other.
      const other = random.pick(random.pick(groups).places);
      return [overwrite(place.at, valueAt(bytes, other, place.size))];
    }
    case 5:
      return [overwrite(place.at, nearby(bytes, place, random))];
    case 6:
      return [overwrite(place.at, Buffer.of((bytes[place.at] ?? 0) ^ (1 << random.below(8))))];
    case 7:
      return flood(bytes, group, place, random);
    case 8:
      return [overwrite(anywhere, Buffer.of((bytes[anywhere] ?? 0) ^ (1 << random.below(8))))];
    case 9: {
      const length = Math.min(1 + random.below(64), bytes.length - anywhere);
      return [overwrite(anywhere, Buffer.alloc(length, random.once(2) ? 0 : 0xff))];
    }
    case 10: {
      // Spliced: a piece of the file over another.
      const length = Math.min(1 + random.below(4096), bytes.length - Math.max(anywhere, place.at));
      return [overwrite(place.at, Buffer.from(bytes.subarray(anywhere, anywhere + Math.max(0, length))))];
    }
    default:
      return random.once(8) ? manySections(bytes, random) : [shift(anywhere, random)];
  }
}

function valueAt(bytes: Buffer, { at }: Place, size: number): Buffer {
  const value = Buffer.alloc(size);
  bytes.copy(value, 0, at, at + size);
  return value;
}

/** The value, a little more or less, or some powers of two larger. */
function nearby(bytes: Buffer, place: Place, random: Random): Buffer {
  const value = Buffer.alloc(8);
  bytes.copy(value, 0, place.at, place.at + place.size);
  const number = value.readBigUInt64LE();
  const changed = random.once(2)
    ? number + BigInt(random.below(33) - 16)
    : number << BigInt(random.below(16));
  return littleEndian(changed, place.size);
}

/** The same value in the same field of many entries: a hundred sections at one offset, a chain without end. */
function flood(bytes: Buffer, group: PlaceGroup, place: Place, random: Random): Edit[] {
  const value = random.once(2)
    ? littleEndian(trickyInteger(bytes.length, random), place.size)
    : valueAt(bytes, place, place.size);
  const step = group.places.findIndex(
    (one, index) => index > 0 && one.size === group.places[0]?.size && index > 1,
  );
  const alike = group.places.filter(
    (one, index) => one.size === place.size && (step < 0 || index % step === 0),
  );
  return [place, ...alike.slice(0, 64)]
    .filter((one) => one.size === place.size)
    .map((one) => overwrite(one.at, value));
}

function shift(at: number, random: Random): Edit {
  const length = 1 + random.below(16);
  return random.once(2)
    ? { at, remove: length, insert: new Uint8Array(0) }
    : { at, remove: 0, insert: Buffer.alloc(length, random.below(256)) };
}

/** The section headers again and again behind the file, as many as the header can say. */
function manySections(bytes: Buffer, random: Random): Edit[] {
  const headers = u64(bytes, 40);
  const count = u16(bytes, 60);
  if (headers === 0 || count === 0 || headers + 64 * count > bytes.length) return [];
  const table = bytes.subarray(headers, headers + 64 * count);
  const times = 1 + random.below(Math.floor(20_000 / count));
  const one = table.subarray(64 * random.below(count)).subarray(0, 64);
  const copies = Buffer.concat(
    random.once(2)
      ? Array.from({ length: times }, () => table)
      : [table, ...Array.from({ length: times * count }, () => one)],
  );
  const number = Math.min(0xfeff, copies.length / 64);
  return [
    overwrite(40, littleEndian(BigInt(bytes.length), 8)),
    overwrite(60, littleEndian(BigInt(number), 2)),
    { at: bytes.length, remove: 0, insert: copies },
  ];
}
