import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import { TargetError } from "../../base/errors.js";

/** Where the image says at which offset, from 0x200 on, its version stands. Documentation/arch/x86/boot.rst. */
const VERSION_OFFSET = 0x20e;
const HEADER_BYTES = 1 << 16;

/**
 * Where the modules of a kernel image are: beside it, as in a package that was unpacked, or installed.
 *
 * @throws TargetError they are in neither place
 */
export function modulesFolder(image: string): string {
  const release = releaseOf(image);
  const places = [join(dirname(dirname(image)), "lib/modules"), "/lib/modules", "/usr/lib/modules"].map(
    (place) => join(place, release),
  );
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new TargetError(
    `there are no modules for ${image}, release ${release}: not in ${places.join(", nor in ")}`,
  );
}

function releaseOf(image: string): string {
  const header = Buffer.alloc(HEADER_BYTES);
  const file = openSync(image, "r");
  try {
    readSync(file, header);
  } finally {
    closeSync(file);
  }
  const at = 0x200 + header.readUInt16LE(VERSION_OFFSET);
  const release = header.toString("latin1", at, at + 256).split(/[ \0]/)[0] ?? "";
  if (/^[0-9]+\.[0-9]+/.test(release)) return release;
  throw new TargetError(`${image} does not say which release it is, so its modules cannot be found`);
}
