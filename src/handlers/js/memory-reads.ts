import { type Address, addressOf } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import type { Hit } from "../../probes/probe.js";
import { type ByteString, fromBytes } from "../../runtime/byte-string.js";

const CHUNK = 128;
const chunk = new Uint8Array(CHUNK);
const word = new Uint8Array(8);
const view = new DataView(word.buffer);

/** The address that a script's number denotes. @throws MemoryFault not canonical: no load can succeed there */
function place(value: bigint): Address {
  const address = addressOf(value);
  if (address === undefined) throw new MemoryFault(BigInt.asUintN(64, value), "read", "not-canonical");
  return address;
}

/** Reads an integer of 1, 2, 4 or 8 bytes. @throws MemoryFault */
export function readInteger(hit: Hit, at: bigint, bytes: 1 | 2 | 4 | 8, signed: boolean): bigint {
  const part = word.subarray(0, bytes);
  hit.memory.read(place(at), part);
  part.fill(0, bytes);
  const low = bytes === 8 ? view.getBigUint64(0, true) : BigInt(numberOf(bytes));
  return signed || bytes === 8 ? BigInt.asIntN(8 * bytes, low) : low;
}

function numberOf(bytes: 1 | 2 | 4): number {
  if (bytes === 1) return view.getUint8(0);
  return bytes === 2 ? view.getUint16(0, true) : view.getUint32(0, true);
}

/**
 * Reads up to a NUL or `most` bytes.
 *
 * @throws MemoryFault a byte before the NUL cannot be read: the fault that strlen would take there
 */
export function readString(hit: Hit, at: bigint, most: number): ByteString {
  const start = place(at);
  let text = "";
  for (let done = 0; done < most;) {
    const part = chunk.subarray(0, Math.min(CHUNK, most - done));
    const got = hit.memory.readSome((start + done) as Address, part);
    const end = part.subarray(0, got).indexOf(0);
    if (end >= 0) return text + fromBytes(part.subarray(0, end));
    if (got < part.length) hit.memory.read((start + done + got) as Address, word.subarray(0, 1));
    text += fromBytes(part.subarray(0, got));
    done += got;
  }
  return text;
}

/** Exactly so many bytes. @throws MemoryFault */
export function readBytes(hit: Hit, at: bigint, length: number): ByteString {
  const into = new Uint8Array(length);
  hit.memory.read(place(at), into);
  return fromBytes(into);
}
