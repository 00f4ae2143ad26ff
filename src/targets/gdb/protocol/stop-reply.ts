import { addressOf, type Address } from "../../../base/address.js";
import { bytesOfHex } from "./hex.js";
import type { StubThread, ThreadIds } from "./thread-ids.js";

/** What made a thread stop, where the stub says more than a signal. */
export type StopReason =
  /** A software breakpoint of the stub or in the text; the program counter is at it. */
  | { readonly kind: "swbreak" }
  | { readonly kind: "hwbreak" }
  | { readonly kind: "watch" | "rwatch" | "awatch"; readonly address: Address }
  | { readonly kind: "library" }
  | { readonly kind: "fork" | "vfork"; readonly child: StubThread }
  | { readonly kind: "vforkdone" }
  | { readonly kind: "exec"; readonly path: string }
  | { readonly kind: "create" }
  | { readonly kind: "syscall_entry" | "syscall_return"; readonly number: number };

/** An answer to resuming. GDB manual, "Stop Reply Packets". */
export type StopReply =
  | {
      readonly kind: "stopped";
      /** GDB's number of a signal, see signals.ts. */
      readonly signal: number;
      /** Undefined where the stub has one thread only, or does not say. */
      readonly thread: StubThread | undefined;
      readonly core: number | undefined;
      readonly reason: StopReason | undefined;
      /** Contents of some registers, by the stub's numbers. */
      readonly expedited: ReadonlyMap<number, Uint8Array>;
    }
  | { readonly kind: "exited"; readonly status: number; readonly process: number | undefined }
  | { readonly kind: "killed"; readonly signal: number; readonly process: number | undefined }
  | { readonly kind: "thread-exited"; readonly status: number; readonly thread: StubThread }
  /** No thread that was resumed is left. */
  | { readonly kind: "no-resumed" };

const NONE: ReadonlyMap<number, Uint8Array> = new Map();

/** @returns undefined where the text is no stop reply */
export function parseStopReply(text: string, threads: ThreadIds): StopReply | undefined {
  switch (text.charAt(0)) {
    case "S": {
      const signal = twoDigits(text.slice(1, 3));
      if (signal === undefined || text.length !== 3) return undefined;
      return {
        kind: "stopped",
        signal,
        thread: undefined,
        core: undefined,
        reason: undefined,
        expedited: NONE,
      };
    }
    case "T":
      return parseStopped(text, threads);
    case "W":
    case "X": {
      const match = /^.([0-9a-f]{1,8})(?:;process:([0-9a-f]{1,16}))?(?:;.*)?$/i.exec(text);
      const value = hexNumber(match?.[1]);
      if (value === undefined) return undefined;
      const process = hexNumber(match?.[2]);
      return text.startsWith("W")
        ? { kind: "exited", status: value, process }
        : { kind: "killed", signal: value, process };
    }
    case "w": {
      const match = /^w([0-9a-f]{1,16});(.+)$/i.exec(text);
      const status = hexNumber(match?.[1]);
      const thread = threads.parse(match?.[2] ?? "");
      return status === undefined || thread === undefined
        ? undefined
        : { kind: "thread-exited", status, thread };
    }
    case "N":
      return text === "N" ? { kind: "no-resumed" } : undefined;
    default:
      return undefined;
  }
}

function parseStopped(text: string, threads: ThreadIds): StopReply | undefined {
  const signal = twoDigits(text.slice(1, 3));
  if (signal === undefined) return undefined;
  let thread: StubThread | undefined;
  let core: number | undefined;
  let reason: StopReason | undefined;
  let expedited: Map<number, Uint8Array> | undefined;
  for (let at = 3; at < text.length;) {
    let end = text.indexOf(";", at);
    if (end < 0) end = text.length;
    const colon = text.indexOf(":", at);
    if (colon < 0 || colon > end) return undefined;
    const key = text.slice(at, colon);
    const value = text.slice(colon + 1, end);
    at = end + 1;
    if (key === "thread") {
      thread = threads.parse(value);
      if (thread === undefined) return undefined;
    } else if (key === "core") core = hexNumber(value);
    else {
      const found = parseReason(key, value, threads);
      if (found === "nonsense") return undefined;
      if (found !== undefined) reason = found;
      else {
        // A key that is nothing but digits is a register; any other is of a later version of the protocol.
        const register = hexNumber(key);
        const bytes = register === undefined ? undefined : bytesOfHex(value);
        if (register !== undefined && bytes !== undefined) (expedited ??= new Map()).set(register, bytes);
      }
    }
  }
  return { kind: "stopped", signal, thread, core, reason, expedited: expedited ?? NONE };
}

function parseReason(key: string, value: string, threads: ThreadIds): StopReason | "nonsense" | undefined {
  switch (key) {
    case "swbreak":
    case "hwbreak":
    case "library":
    case "create":
    case "vforkdone":
      return { kind: key };
    case "watch":
    case "rwatch":
    case "awatch": {
      const address = /^[0-9a-f]{1,16}$/i.test(value) ? addressOf(BigInt(`0x${value}`)) : undefined;
      return address === undefined ? "nonsense" : { kind: key, address };
    }
    case "fork":
    case "vfork": {
      const child = threads.parse(value);
      return child === undefined ? "nonsense" : { kind: key, child };
    }
    case "exec": {
      const path = bytesOfHex(value);
      return path === undefined ? "nonsense" : { kind: "exec", path: Buffer.from(path).toString("utf8") };
    }
    case "syscall_entry":
    case "syscall_return": {
      const number = hexNumber(value);
      return number === undefined ? "nonsense" : { kind: key, number };
    }
    default:
      return undefined;
  }
}

function twoDigits(text: string): number | undefined {
  return text.length === 2 ? hexNumber(text) : undefined;
}

function hexNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9a-f]{1,12}$/i.test(text) ? Number.parseInt(text, 16) : undefined;
}
