/** What an archive holds: the kernel unpacks it as its first root. */
export type CpioEntry =
  | { readonly kind: "folder"; readonly path: string; readonly mode?: number }
  | { readonly kind: "file"; readonly path: string; readonly bytes: Uint8Array; readonly mode?: number }
  | { readonly kind: "link"; readonly path: string; readonly to: string }
  | {
      readonly kind: "character-device";
      readonly path: string;
      readonly major: number;
      readonly minor: number;
    };

/** File types of st_mode. inode(7). */
const TYPES = { folder: 0o040000, file: 0o100000, link: 0o120000, "character-device": 0o020000 } as const;

const PERMISSIONS = { folder: 0o755, file: 0o644, link: 0o777, "character-device": 0o600 } as const;

const TRAILER = "TRAILER!!!";

/**
 * Writes an archive in cpio's "newc" format, the one that Linux takes as initial RAM file system; all of
 * it belongs to root and has no times, so that the same entries give the same bytes.
 * Documentation/driver-api/early-userspace/buffer-format.rst.
 *
 * @param entries folders before what is in them; paths without a leading slash
 */
export function cpioArchive(entries: Iterable<CpioEntry>): Uint8Array {
  const parts: Uint8Array[] = [];
  let inode = 1;
  for (const entry of entries) {
    const data = dataOf(entry);
    const permissions = "mode" in entry ? entry.mode : undefined;
    const mode = TYPES[entry.kind] | (permissions ?? PERMISSIONS[entry.kind]);
    const device = entry.kind === "character-device" ? [entry.major, entry.minor] : [0, 0];
    parts.push(header(inode++, mode, data.length, entry.path, device), data, padding(data.length));
  }
  parts.push(header(0, 0, 0, TRAILER, [0, 0]));
  return Buffer.concat(parts);
}

function dataOf(entry: CpioEntry): Uint8Array {
  if (entry.kind === "file") return entry.bytes;
  return entry.kind === "link" ? Buffer.from(entry.to) : new Uint8Array(0);
}

/** Thirteen numbers of eight hexadecimal digits behind the magic, then the name; all padded to four bytes. */
function header(inode: number, mode: number, size: number, path: string, device: number[]): Uint8Array {
  const name = Buffer.from(`${path}\0`);
  const [user, group, links, time, checksum] = [0, 0, 1, 0, 0];
  const numbers = [inode, mode, user, group, links, time, size, 0, 0, ...device, name.length, checksum];
  const text = `070701${numbers.map((number) => number.toString(16).padStart(8, "0")).join("")}`;
  const head = Buffer.concat([Buffer.from(text, "latin1"), name]);
  return Buffer.concat([head, padding(head.length)]);
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
