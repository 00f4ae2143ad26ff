import type { Address } from "../../../base/address.js";
import type { GdbClient } from "../protocol/client.js";

/** Where a PC has its high precision event timer. */
const HPET = 0xfed0_0000 as Address;
/** Registers of it, as "IA-PC HPET Specification 1.0a", 2.3, has them. */
const CAPABILITIES = 0x000;
const CONFIGURATION = 0x010;
const COUNTER = 0x0f0;
const END = 0x0f8;
const ENABLED = 1;
/** No HPET counts slower: 100 ns in femtoseconds. */
const LONGEST_PERIOD = 0x05f5_e100n;
const FEMTOSECONDS = 1_000_000n;

/**
 * Reads the time from the event timer of a machine of QEMU that stands still: it counts by QEMU's virtual clock, which
 * is the host's monotonic one and stands while the machine does. To read it changes nothing in the guest.
 *
 * @returns nanoseconds since it was started; undefined where there is none, or the guest does not let it run
 */
export function hpetTime(client: GdbClient): bigint | undefined {
  const { pipeline } = client;
  const bytes = new Uint8Array(END);
  const done: boolean[] = [];
  const told = (each: boolean): void => {
    done.push(each);
  };
  pipeline.set("Qqemu.PhyMemMode:1", told);
  pipeline.read(HPET, bytes, told);
  pipeline.set("Qqemu.PhyMemMode:0", told);
  pipeline.flush();
  if (done.includes(false)) return undefined;
  const view = new DataView(bytes.buffer);
  const period = view.getBigUint64(CAPABILITIES, true) >> 32n;
  if (period === 0n || period > LONGEST_PERIOD) return undefined;
  if ((view.getUint32(CONFIGURATION, true) & ENABLED) === 0) return undefined;
  return (view.getBigUint64(COUNTER, true) * period) / FEMTOSECONDS;
}
