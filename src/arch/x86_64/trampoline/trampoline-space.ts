import { type Address, type AddressRange, offsetBy } from "../../../base/address.js";
import { freeRanges, Gaps } from "./gaps.js";
import { anywhereIn, inBoth, type Reach } from "./reach.js";

/**
 * A piece of memory that the target must map for us, at just this place or not at all (MAP_FIXED_NOREPLACE). Code
 * is never writable in the target: who writes it is the tracer. Data is never executable.
 */
export interface Area {
  readonly kind: "code" | "data";
  readonly protection: "r-x" | "rw-";
  readonly start: Address;
  readonly end: Address;
}

/** Memory for one trampoline. */
export interface Reservation {
  /** Where the jump in the program leads to: the body, or a jump of 5 bytes to it. */
  readonly entry: Address;
  readonly body: Address;
  readonly room: number;
  /** The data area that all of the body has within ±2 GiB. */
  readonly data: Area;
}

/** What a trampoline asks of its place. */
export interface Wanted {
  readonly room: number;
  /** Where the jump can lead to. */
  readonly targets: Reach;
  /** Where the body can begin. */
  readonly starts: AddressRange;
  /** Memory that has to be mapped is mapped as near to here as there is room. */
  readonly near: Address;
}

export interface SpaceOptions {
  readonly dataLength: number;
  /** Of a new code area, where there is room for so much. */
  readonly codeLength?: number;
  /** Bytes around what the program has mapped where nothing of ours is, as long as there is other room. */
  readonly margin?: number;
}

/** Length of `jmp rel32`. */
const STUB = 5;
const PAGE = 4096;
const REACH = 2 ** 31;
/** A body in the area of its stub, or as far as a stub can lead. */
const STUB_REACH = REACH - 2 ** 16;

interface CodeArea {
  readonly area: Area;
  readonly data: Area;
  /** Of how many pieces it holds. */
  used: number;
}

/**
 * Where trampolines are in one program's address space: a plan of memory, which knows no target and maps nothing.
 * {@link pending} is what has to be mapped before anything is written.
 */
export class TrampolineSpace {
  private readonly gaps = new Gaps();
  /** Ascending. */
  private readonly code: CodeArea[] = [];
  private readonly data: Area[] = [];
  private readonly unmapped = new Set<Area>();
  private readonly reservations = new Set<Reservation>();
  private readonly codeLength: number;
  private readonly margin: number;

  constructor(private readonly options: SpaceOptions) {
    this.codeLength = options.codeLength ?? 16 * PAGE;
    this.margin = options.margin ?? 2 ** 24;
  }

  /** All that is ours, mapped or to be mapped. */
  get areas(): readonly Area[] {
    return [...this.code.map(({ area }) => area), ...this.data];
  }

  /** What is to be mapped, to be told to {@link confirm} or {@link lose}. */
  get pending(): readonly Area[] {
    return [...this.unmapped];
  }

  /**
   * @param mapped what the target has mapped, as it was lately; ours may be among it
   * @returns undefined where there is no room that does
   */
  reserve(wanted: Wanted, mapped: readonly AddressRange[]): Reservation | undefined {
    const { room, targets, starts } = wanted;
    const whole = inBoth(targets, starts);
    const at = this.gaps.find(whole, room);
    if (at !== undefined) return this.take(at, at, room);
    const stub = this.gaps.find(targets, STUB);
    if (stub !== undefined) {
      const body = this.bodyFor(stub, wanted, mapped);
      if (body !== undefined) return this.take(stub, body, room);
    }
    for (const margin of [this.margin, 0]) {
      const free = this.free(mapped, margin);
      const place = this.extend(free, whole, room, wanted.near);
      if (place !== undefined) return this.take(place, place, room);
      const entry = this.extend(free, targets, STUB, wanted.near);
      if (entry === undefined) continue;
      const body = this.bodyFor(entry, wanted, mapped);
      if (body !== undefined) return this.take(entry, body, room);
      for (const area of this.unused) if (this.unmapped.has(area)) this.lose(area);
    }
    return undefined;
  }

  /** No thread can be in it any more. */
  release(reservation: Reservation): void {
    if (!this.reservations.delete(reservation)) throw new Error("released twice");
    for (const piece of piecesOf(reservation)) {
      const area = this.areaOf(piece.start);
      if (area === undefined) continue; // lost
      area.used--;
      this.gaps.add(piece);
    }
  }

  /** Areas that hold nothing any more, to be unmapped by whoever then calls {@link lose}. */
  get unused(): readonly Area[] {
    const needed = new Set(this.code.filter(({ used }) => used > 0).map(({ data }) => data));
    const empty = this.code.filter(({ used }) => used === 0).map(({ area }) => area);
    return [...empty, ...this.data.filter((area) => !needed.has(area))];
  }

  /** The area was mapped. */
  confirm(area: Area): void {
    this.unmapped.delete(area);
  }

  /**
   * The area could not be mapped, or is mapped no more. Code that has its data there goes with it.
   * @returns what was reserved in it, and is not any more
   */
  lose(area: Area): readonly Reservation[] {
    this.unmapped.delete(area);
    const dependent = this.code.filter((code) => code.area === area || code.data === area);
    const isLost = (at: Address): boolean => dependent.some((code) => isIn(code.area, at));
    const lost = [...this.reservations].filter(({ entry, body }) => isLost(entry) || isLost(body));
    for (const reservation of lost) this.release(reservation);
    for (const code of dependent) {
      this.gaps.remove(code.area);
      // Code that is mapped and has lost its data is left over: it is unused.
      if (code.area === area || this.unmapped.delete(code.area)) this.code.splice(this.code.indexOf(code), 1);
    }
    const index = this.data.indexOf(area);
    if (index >= 0) this.data.splice(index, 1);
    return lost;
  }

  private take(entry: Address, body: Address, room: number): Reservation {
    const { data } = this.areaOf(body) as CodeArea; // where gaps are
    const reservation: Reservation = { entry, body, room, data };
    for (const piece of piecesOf(reservation)) {
      this.gaps.remove(piece);
      (this.areaOf(piece.start) as CodeArea).used++;
    }
    this.reservations.add(reservation);
    return reservation;
  }

  /** A place for the body of a trampoline that is entered by a stub. */
  private bodyFor(stub: Address, wanted: Wanted, mapped: readonly AddressRange[]): Address | undefined {
    const { room } = wanted;
    const low = Math.max(wanted.starts.start, stub - STUB_REACH);
    const high = Math.min(wanted.starts.end, stub + STUB_REACH);
    if (low >= high) return undefined;
    const reach = anywhereIn({ start: low as Address, end: high as Address });
    // The stub is not taken yet.
    const own: AddressRange = { start: stub, end: offsetBy(stub, STUB) };
    this.gaps.remove(own);
    try {
      const found = this.gaps.find(reach, room);
      if (found !== undefined) return found;
      for (const margin of [this.margin, 0]) {
        const place = this.extend(this.free(mapped, margin), reach, room, wanted.near);
        if (place !== undefined) return place;
      }
      return undefined;
    } finally {
      this.gaps.add(own);
    }
  }

  private free(mapped: readonly AddressRange[], margin: number): Gaps {
    const free = freeRanges(mapped, margin);
    for (const area of this.areas) free.remove(area);
    return free;
  }

  /** Adds a code area, and a data area where none is near enough. @returns a place in it for `size` bytes */
  private extend(free: Gaps, reach: Reach, size: number, near: Address): Address | undefined {
    for (const at of placesFrom(free, reach, size, near)) {
      const range = free.all.find((each) => isIn(each, at)) as AddressRange; // that is where it was found
      const start = Math.floor(at / PAGE) * PAGE;
      const least = Math.ceil((at + size) / PAGE) * PAGE;
      const end = Math.max(least, Math.min(start + this.codeLength, Math.floor(range.end / PAGE) * PAGE));
      if (start < range.start || end > range.end) continue;
      const area: Area = { kind: "code", protection: "r-x", start: start as Address, end: end as Address };
      const data = this.dataFor(area, free);
      if (data === undefined) continue;
      this.unmapped.add(area);
      this.code.push({ area, data, used: 0 });
      this.code.sort((one, other) => one.area.start - other.area.start);
      this.gaps.add(area);
      return at;
    }
    return undefined;
  }

  private dataFor(code: Area, free: Gaps): Area | undefined {
    const known = this.data.find((data) => spans(data, code) <= REACH);
    if (known !== undefined) return known;
    const { dataLength } = this.options;
    const length = Math.ceil(dataLength / PAGE) * PAGE;
    const around = new Gaps();
    for (const range of free.all) around.add(range);
    around.remove(code);
    const low = Math.max(0, code.end - REACH) as Address;
    const high = (code.start + REACH - length + 1) as Address;
    for (const at of placesFrom(around, pagesIn({ start: low, end: high }), length, code.start)) {
      const area: Area = { kind: "data", protection: "rw-", start: at, end: offsetBy(at, length) };
      if (spans(area, code) > REACH) continue;
      this.data.push(area);
      this.unmapped.add(area);
      return area;
    }
    return undefined;
  }

  private areaOf(at: Address): CodeArea | undefined {
    let low = 0;
    let high = this.code.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.code[middle] as CodeArea).area.end <= at) low = middle + 1;
      else high = middle;
    }
    const found = this.code[low];
    return found !== undefined && isIn(found.area, at) ? found : undefined;
  }
}

function piecesOf({ entry, body, room }: Reservation): AddressRange[] {
  const whole = { start: body, end: offsetBy(body, room) };
  return entry === body ? [whole] : [whole, { start: entry, end: offsetBy(entry, STUB) }];
}

function isIn({ start, end }: AddressRange, at: Address): boolean {
  return at >= start && at < end;
}

/** From the first byte of both to the last. */
function spans(one: AddressRange, other: AddressRange): number {
  return Math.max(one.end, other.end) - Math.min(one.start, other.start);
}

/** Where pages begin. */
function pagesIn({ start, end }: AddressRange): Reach {
  const first = Math.ceil(start / PAGE) * PAGE;
  const last = Math.floor((end - 1) / PAGE) * PAGE;
  return {
    next: (from) => {
      const at = Math.max(first, Math.ceil(from / PAGE) * PAGE);
      return at <= last ? (at as Address) : undefined;
    },
    previous: (from) => {
      const at = Math.min(last, Math.floor(from / PAGE) * PAGE);
      return at >= first ? (at as Address) : undefined;
    },
  };
}

/** In each range, the place nearest to `near` for `size` bytes that begin in reach; the nearest of all first. */
function placesFrom(free: Gaps, reach: Reach, size: number, near: Address): Address[] {
  const places: Address[] = [];
  for (const { start, end } of free.all) {
    const last = offsetBy(end, -size);
    if (last < start) continue;
    const wish = Math.min(Math.max(near, start), last) as Address;
    const above = reach.next(wish);
    const below = reach.previous(wish);
    if (above !== undefined && above <= last) places.push(above);
    if (below !== undefined && below >= start && below !== above) places.push(below);
  }
  return places.sort((one, other) => Math.abs(one - near) - Math.abs(other - near));
}
