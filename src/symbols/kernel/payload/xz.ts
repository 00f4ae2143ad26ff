import { crcOf } from "../../elf/debug-file.js";
import { bytesSource } from "../../elf/source.js";
import { DamagedLzma, LzmaDecoder } from "./lzma.js";
import { undoX86Filter } from "./x86-filter.js";

/** The .xz file format, version 1.1.0, 2.1.1.1. */
export const XZ_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);

const STREAM_HEADER = 12;
const FILTER = { x86: 4, lzma2: 0x21 } as const;
const CHECK_CRC32 = 1;
/** Bytes of each kind of checksum. The .xz file format, 2.1.1.2. */
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] as const;

/**
 * Unpacks a stream of xz as the kernel's build makes it: LZMA2, with or without the filter for x86
 * instructions, with CRC-32 as its checksum. Other checksums are not verified.
 *
 * @param into of the size that the stream unpacks to
 * @returns how much of `into` was filled
 * @throws DamagedLzma damaged, or with filters that the kernel's own unpacker does not know
 */
export function unpackXz(packed: Buffer, into: Buffer): number {
  if (packed.length < STREAM_HEADER) throw new DamagedLzma("it is cut short");
  verify(packed.subarray(6, 8), packed.readUInt32LE(8), "its header");
  const check = (packed[7] ?? 0) & 15;
  const decoder = new LzmaDecoder(packed, into);
  let at = STREAM_HEADER;
  // The index behind the last block begins with 0.
  while (packed[at] !== 0) {
    const block = blockHeader(packed, at);
    const begin = decoder.at;
    const end = lzma2(packed, block.data, decoder, into.length);
    if (block.x86) undoX86Filter(into.subarray(begin, decoder.at));
    at = Math.ceil(end / 4) * 4;
    if (check === CHECK_CRC32 && at + 4 <= packed.length)
      verify(into.subarray(begin, decoder.at), packed.readUInt32LE(at), "what comes out");
    at += CHECK_SIZES[check] ?? 0;
    if (at >= packed.length) throw new DamagedLzma("it is cut short");
  }
  return decoder.at;
}

function blockHeader(packed: Buffer, at: number): { data: number; x86: boolean } {
  const size = ((packed[at] ?? 0) + 1) * 4;
  if (at + size > packed.length) throw new DamagedLzma("it is cut short");
  const header = packed.subarray(at, at + size - 4);
  verify(header, packed.readUInt32LE(at + size - 4), "the header of a block");
  const flags = header[1] ?? 0;
  let place = 2;
  const number = (): number => {
    let value = 0;
    for (let digit = 0; digit < 7; digit += 1) {
      const byte = header[place] ?? 0;
      place += 1;
      value += (byte & 0x7f) * 2 ** (7 * digit);
      if (byte < 0x80) return value;
    }
    throw new DamagedLzma("a number in the header of a block makes no sense");
  };
  if ((flags & 0x40) !== 0) number();
  if ((flags & 0x80) !== 0) number();
  const filters: number[] = [];
  for (let filter = 0; filter <= (flags & 3); filter += 1) {
    filters.push(number());
    const propertiesSize = number();
    place += propertiesSize;
  }
  const x86 = filters.length === 2 && filters[0] === FILTER.x86;
  if (filters.at(-1) !== FILTER.lzma2 || (filters.length > 1 && !x86))
    throw new DamagedLzma(`it was made with filters that kernels do not use (${filters.join(", ")})`);
  return { data: at + size, x86 };
}

/** Chunks of LZMA2, up to its end. @returns where that is */
function lzma2(packed: Buffer, start: number, decoder: LzmaDecoder, limit: number): number {
  let at = start;
  let ready = false;
  for (;;) {
    const control = packed[at];
    if (control === undefined) throw new DamagedLzma("it is cut short");
    if (control === 0) return at + 1;
    if (control === 1 || control >= 0xe0) decoder.forget();
    if (control < 0x80) {
      if (control > 2) throw new DamagedLzma("a chunk is of no kind that is known");
      at = stored(packed, at, decoder, limit);
      continue;
    }
    if (at + 6 > packed.length) throw new DamagedLzma("it is cut short");
    const size = ((control & 0x1f) << 16) + packed.readUInt16BE(at + 1) + 1;
    const packedSize = packed.readUInt16BE(at + 3) + 1;
    const hasProperties = control >= 0xc0;
    if (hasProperties) decoder.setProperties(packed[at + 5] ?? 0);
    else if (!ready) throw new DamagedLzma("its first chunk has no properties");
    ready = true;
    if (control >= 0xa0) decoder.resetState();
    const from = at + (hasProperties ? 6 : 5);
    if (decoder.at + size > limit) throw new DamagedLzma("more comes out than it says");
    decoder.begin(from, from + packedSize);
    const end = decoder.at + size;
    decoder.run(end);
    if (decoder.at !== end) throw new DamagedLzma("a chunk ends before its end");
    at = from + packedSize;
  }
}

function stored(packed: Buffer, at: number, decoder: LzmaDecoder, limit: number): number {
  if (at + 3 > packed.length) throw new DamagedLzma("it is cut short");
  const size = packed.readUInt16BE(at + 1) + 1;
  if (at + 3 + size > packed.length) throw new DamagedLzma("it is cut short");
  if (decoder.at + size > limit) throw new DamagedLzma("more comes out than it says");
  decoder.store(at + 3, size);
  return at + 3 + size;
}

function verify(bytes: Buffer, expected: number, what: string): void {
  if (crcOf(bytesSource(bytes, "xz")) !== expected) throw new DamagedLzma(`${what} has another checksum`);
}
