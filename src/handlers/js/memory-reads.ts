import { type Address, addressOf } from "../../base/address.js";
import type { Hit } from "../../probes/probe.js";
import { type ByteString, fromBytes } from "../../runtime/byte-string.js";
import type { ReadFault } from "../../runtime/read-fault.js";

// Each function is given the object in which it tells its fault.

const CHUNK = 128;
const chunk = new Uint8Array(CHUNK);
const word = new Uint8Array(8);
/** Its beginnings, by their lengths. */
const words = { 1: word.subarray(0, 1), 2: word.subarray(0, 2), 4: word.subarray(0, 4), 8: word };
const view = new DataView(word.buffer);

/** Reads an integer of 1, 2, 4 or 8 bytes. */
export function readInteger(
  fault: ReadFault,
  hit: Hit,
  at: bigint,
  bytes: 1 | 2 | 4 | 8,
  signed: boolean,
): bigint | ReadFault {
  if (fault.whileFilling(words[bytes], hit, at) !== undefined) return fault;
  const low = bytes === 8 ? view.getBigUint64(0, true) : BigInt(numberOf(bytes));
  return signed || bytes === 8 ? BigInt.asIntN(8 * bytes, low) : low;
}

function numberOf(bytes: 1 | 2 | 4): number {
  if (bytes === 1) return view.getUint8(0);
  return bytes === 2 ? view.getUint16(0, true) : view.getUint32(0, true);
}

/**
 * Reads up to a NUL or `most` bytes. Where a byte before the NUL cannot be read it is the fault that
 * strlen would take there.
 */
export function readString(fault: ReadFault, hit: Hit, at: bigint, most: number): ByteString | ReadFault {
  const start = addressOf(at);
  if (start === undefined) return fault.of(at);
  let text = "";
  for (let done = 0; done < most;) {
    const part = most - done < CHUNK ? chunk.subarray(0, most - done) : chunk;
    const got = hit.memory.readSome((start + done) as Address, part);
    const end = part.indexOf(0);
    if (end >= 0 && end < got) return text + fromBytes(part.subarray(0, end));
    if (got < part.length) return fault.of((start + done + got) as Address);
    text += fromBytes(part);
    done += got;
  }
  return text;
}

/** Exactly so many bytes. */
export function readBytes(fault: ReadFault, hit: Hit, at: bigint, length: number): ByteString | ReadFault {
  const into = new Uint8Array(length);
  return fault.whileFilling(into, hit, at) ?? fromBytes(into);
}
