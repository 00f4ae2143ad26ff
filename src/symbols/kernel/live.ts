import { type Address, addressFromHalves, formatAddress } from "../../base/address.js";
import { TargetError } from "../../base/errors.js";
import { type MemberPlace, placeIn, sizeOf } from "../types/members.js";
import { type CompositeType, resolved, type TypeNames } from "../types/type.js";

/** Memory of a running kernel. What targets read their memory with is one. */
export interface LiveMemory {
  /** Fills `into` from `at` on, up to the first byte that cannot be read. @returns how many bytes */
  readSome(at: Address, into: Uint8Array): number;
}

/** A damaged length must not make us ask for memory that we then do not fill. */
const PIECE = 1 << 16;

/** @throws TargetError some of it cannot be read */
export function readLive(memory: LiveMemory, at: Address, length: number, what: string): Buffer {
  const bytes = readSomeLive(memory, at, length);
  if (bytes.length === length) return bytes;
  throw new TargetError(
    `the kernel's memory cannot be read at ${formatAddress((at + bytes.length) as Address)} (${what})`,
  );
}

/** As many bytes as can be read, at most `length`. */
export function readSomeLive(memory: LiveMemory, at: Address, length: number): Buffer {
  const pieces: Buffer[] = [];
  for (let done = 0; done < length;) {
    const piece = Buffer.alloc(Math.min(PIECE, length - done));
    const count = memory.readSome((at + done) as Address, piece);
    pieces.push(piece.subarray(0, count));
    if (count < piece.length) break;
    done += count;
  }
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
}

/** A struct of a running kernel, read as a whole: its members by their names in the kernel's source. */
export class LiveStruct {
  private constructor(
    readonly at: Address,
    private readonly types: TypeNames,
    private readonly type: CompositeType,
    private readonly bytes: Buffer,
  ) {}

  /** @throws TargetError it is not known, or cannot be read */
  static read(memory: LiveMemory, at: Address, types: TypeNames, name: string): LiveStruct {
    const type = types.named("struct", name);
    const size = type && sizeOf(type);
    if (type?.kind !== "struct" || size === undefined || size > MOST_BYTES)
      throw new TargetError(`the kernel's types know no struct ${name}`);
    return new LiveStruct(at, types, type, readLive(memory, at, size, `a struct ${name}`));
  }

  has(path: string): boolean {
    return placeIn(this.type, path) !== undefined;
  }

  /** @throws TargetError no such member */
  pointer(path: string): Address {
    const at = this.place(path, 8).offset;
    return addressFromHalves(this.bytes.readUInt32LE(at), this.bytes.readUInt32LE(at + 4));
  }

  /** @throws TargetError no such member */
  u32(path: string): number {
    return this.bytes.readUInt32LE(this.place(path, 4).offset);
  }

  /** Text up to a NUL. @throws TargetError no such member */
  text(path: string, limit: number): string {
    const { offset } = this.place(path, 1);
    const piece = this.bytes.subarray(offset, offset + limit);
    const end = piece.indexOf(0);
    return piece.toString("utf8", 0, end < 0 ? piece.length : end);
  }

  /** The struct that a member points to. @throws TargetError no such member or struct; it cannot be read */
  follow(memory: LiveMemory, path: string, name: string): LiveStruct {
    return LiveStruct.read(memory, this.pointer(path), this.types, name);
  }

  /** One struct of an array of them. @throws TargetError no such member, or not so many */
  element(path: string, index: number): LiveStruct {
    const place = this.place(path, 0);
    const array = resolved(place.type);
    const type = array.kind === "array" ? resolved(array.of) : undefined;
    const size = type && sizeOf(type);
    const start = place.offset + index * (size ?? 0);
    const end = start + (size ?? 0);
    if (array.kind !== "array" || index >= array.length || type?.kind !== "struct" || end > this.bytes.length)
      throw this.unknown(`${path}[${index}]`);
    return new LiveStruct((this.at + start) as Address, this.types, type, this.bytes.subarray(start, end));
  }

  private place(path: string, size: number): MemberPlace {
    const place = placeIn(this.type, path);
    if (place === undefined || place.offset + size > this.bytes.length) throw this.unknown(path);
    return place;
  }

  private unknown(path: string): TargetError {
    return new TargetError(`the kernel's types know no ${path} of struct ${this.type.name}`);
  }
}

/** Nobody's list is longer. */
const MOST_LINKS = 10_000;

/**
 * Where the structs of one of the kernel's own lists lie (`struct list_head`), first to last.
 *
 * @param head of the list
 * @param link where in each struct its links are
 * @throws TargetError it cannot be read, or has no end: what came before was right
 */
export function* walkList(
  memory: LiveMemory,
  head: Address,
  link: number,
  what: string,
): Generator<Address, void, undefined> {
  const nextOf = (at: Address): Address => {
    const bytes = readLive(memory, at, 8, what);
    return addressFromHalves(bytes.readUInt32LE(0), bytes.readUInt32LE(4));
  };
  let at = nextOf(head);
  const seen = new Set<Address>();
  while (at !== head) {
    if (seen.has(at) || seen.size >= MOST_LINKS) throw new TargetError(`${what} has no end`);
    seen.add(at);
    yield (at - link) as Address;
    at = nextOf(at);
  }
}

/** No struct is larger. */
const MOST_BYTES = 1 << 20;
