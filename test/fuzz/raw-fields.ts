/** Little-endian numbers of a file; 0 where it ends before. */
export function u16(bytes: Buffer, at: number): number {
  return at >= 0 && at + 2 <= bytes.length ? bytes.readUInt16LE(at) : 0;
}

export function u32(bytes: Buffer, at: number): number {
  return at >= 0 && at + 4 <= bytes.length ? bytes.readUInt32LE(at) : 0;
}

export function u64(bytes: Buffer, at: number): number {
  return at >= 0 && at + 8 <= bytes.length ? Number(bytes.readBigUInt64LE(at)) : 0;
}

export function readCString(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString("latin1", at, end < 0 ? at : end);
}
