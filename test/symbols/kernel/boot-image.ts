/** A bzImage around packed bytes, as the kernel's build makes it: a setup header, a payload, its size. */
export function bootImage(packed: Buffer, size: number): Buffer {
  const setupSectors = 3;
  const before = 0x80;
  const start = (setupSectors + 1) * 512 + before;
  const image = Buffer.alloc(start + packed.length + 4 + 64);
  image[0x1f1] = setupSectors;
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write("HdrS", 0x202, "latin1");
  image.writeUInt16LE(0x20f, 0x206);
  image.writeUInt32LE(before, 0x248);
  image.writeUInt32LE(packed.length + 4, 0x24c);
  packed.copy(image, start);
  image.writeUInt32LE(size, start + packed.length);
  return image;
}
