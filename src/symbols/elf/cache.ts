import { statSync } from "node:fs";
import { TargetError } from "../../base/errors.js";
import { fileNameBytes } from "../../base/file-name.js";
import { ElfImage, type ElfImageOptions } from "./image.js";
import { reasonOf } from "./source.js";

/**
 * Images that are open, one for each file: whoever asks for the same file, by whatever path, gets
 * the same image. A file that has changed since is another file. Disposing the cache closes all;
 * those who got an image from here do not dispose it.
 */
export class ImageCache implements Disposable {
  private readonly images = new Map<string, ElfImage>();

  constructor(private readonly options: ElfImageOptions = {}) {}

  /** @throws TargetError as {@link ElfImage.open} */
  open(path: string): ElfImage {
    const key = identityOf(path);
    const known = this.images.get(key);
    if (known !== undefined) return known;
    const image = ElfImage.open(path, this.options);
    this.images.set(key, image);
    return image;
  }

  [Symbol.dispose](): void {
    for (const image of this.images.values()) image[Symbol.dispose]();
    this.images.clear();
  }
}

function identityOf(path: string): string {
  try {
    const stats = statSync(fileNameBytes(path), { bigint: true });
    return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}`;
  } catch (cause) {
    throw new TargetError(`cannot open ${path}: ${reasonOf(cause)}`, { cause });
  }
}
