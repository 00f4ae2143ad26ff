import { decodeSignal, setAddress, SIGINFO_BYTES } from "../../signals.js";
import type { SignalInfo } from "../../target.js";
import type { GdbClient } from "../protocol/client.js";
import { linuxSignal } from "../protocol/signals.js";

const OBJECT = "siginfo";

/**
 * The signal that the selected thread has stopped with.
 *
 * @param signal GDB's number
 */
export function readSignal(client: GdbClient, signal: number): SignalInfo {
  const bytes = new Uint8Array(SIGINFO_BYTES);
  bytes.set(client.readObject(OBJECT).subarray(0, SIGINFO_BYTES));
  return decodeSignal(linuxSignal(signal) ?? signal, new DataView(bytes.buffer));
}

/** Makes `si_addr` of that signal another one. */
export function changeFaultAddress(client: GdbClient, address: bigint): void {
  const bytes = client.readObject(OBJECT);
  if (bytes.length < SIGINFO_BYTES) return;
  setAddress(new DataView(bytes.buffer), address);
  client.writeObject(OBJECT, bytes);
}
