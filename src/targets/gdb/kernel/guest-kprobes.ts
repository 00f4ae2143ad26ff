import { addressOf, type Address } from "../../../base/address.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import { type LoadBias, loadedAt, unloadedFrom, type Vaddr } from "../../../symbols/vaddr.js";
import type { ReadMemory } from "./slide.js";

/** KPROBE_TABLE_SIZE. Linux, include/linux/kprobes.h. */
const BUCKETS = 64;
/** A list that is longer is no list. */
const LONGEST_LIST = 100_000;

/**
 * Where the guest's own kprobes stand: `kprobe_table`, a hash of lists. None where the kernel has no
 * kprobes, or no types that say how it keeps them.
 */
export function guestKprobes(image: KernelImage, read: ReadMemory, slide: LoadBias): Set<Vaddr> {
  const own = new Set<Vaddr>();
  const table = image.symbol("kprobe_table");
  const node = image.placeOf("kprobe", "hlist")?.offset;
  const address = image.placeOf("kprobe", "addr")?.offset;
  if (table === undefined || node === undefined || address === undefined) return own;
  const pointer = new DataView(new ArrayBuffer(8));
  const follow = (at: number): Address | undefined => {
    if (read(at as Address, new Uint8Array(pointer.buffer)) < 8) return undefined;
    const value = pointer.getBigUint64(0, true);
    return value === 0n ? undefined : addressOf(value);
  };
  const buckets = loadedAt(table, slide);
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    let next = follow(buckets + 8 * bucket);
    for (let length = 0; next !== undefined && length < LONGEST_LIST; length++) {
      const probed = follow(next - node + address);
      if (probed !== undefined) own.add(unloadedFrom(probed, slide));
      next = follow(next);
    }
  }
  return own;
}
