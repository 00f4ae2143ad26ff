import koffi from "koffi";
import { isIP } from "node:net";
import { StubError } from "./errors.js";

/** A `struct sockaddr`. */
export interface SocketAddress {
  readonly family: number;
  readonly bytes: Uint8Array;
}

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
/** `sun_path` with its final NUL. unix(7). */
const LONGEST_PATH = 107;

/** @throws StubError the path is too long for a socket */
export function unixAddress(path: string, name: string): SocketAddress {
  const text = Buffer.from(path, "utf8");
  if (text.length > LONGEST_PATH)
    throw new StubError(
      "closed",
      `cannot connect to ${name}: a socket's path has ${LONGEST_PATH} bytes at most`,
    );
  const bytes = new Uint8Array(2 + text.length + 1);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(text, 2);
  return { family: AF_UNIX, bytes };
}

/**
 * The addresses of a host, in the order in which they are to be tried. Blocks while a name server is asked.
 *
 * @throws StubError there is none
 */
export function resolveHost(host: string, port: number, name: string): readonly SocketAddress[] {
  if (isIP(host) === 4) return [internet4(host, port)];
  // Nobody need be asked, and stubs that listen on all of localhost's addresses are few.
  if (host === "localhost") return [internet4("127.0.0.1", port), localhost6(port)];
  const found = lookUp(host, port);
  if (found.length === 0)
    throw new StubError("closed", `cannot connect to ${name}: no address is known for ${host}`);
  return found;
}

function internet4(host: string, port: number): SocketAddress {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  bytes.set(host.split(".").map(Number), 4);
  return { family: AF_INET, bytes };
}

function localhost6(port: number): SocketAddress {
  const bytes = new Uint8Array(28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET6, true);
  view.setUint16(2, port);
  bytes[23] = 1;
  return { family: AF_INET6, bytes };
}

/** getaddrinfo(3): the one way to have a name looked up as the system's administrator wants it. */
function lookUp(host: string, port: number): SocketAddress[] {
  const libc = koffi.load("libc.so.6");
  // koffi's functions are untyped; each is given the type of the prototype beside it.
  const getaddrinfo = libc.func("int getaddrinfo(const char *, const char *, const void *, void *)") as (
    host: string,
    service: string,
    hints: Uint8Array,
    result: BigUint64Array,
  ) => number;
  const freeaddrinfo = libc.func("void freeaddrinfo(intptr_t)") as (list: bigint) => void;
  // `struct addrinfo`: flags, family, type, protocol, length (padded), address, name, next. netdb.h.
  const hints = new Uint8Array(48);
  new DataView(hints.buffer).setInt32(8, SOCK_STREAM, true);
  const result = new BigUint64Array(1);
  if (getaddrinfo(host, String(port), hints, result) !== 0) return [];
  const first = result[0] as bigint; // one word long
  const addresses: SocketAddress[] = [];
  for (let info = first; info !== 0n;) {
    const words = koffi.decode(info, koffi.array("int", 4)) as Int32Array | number[];
    const length = koffi.decode(info, 16, "uint32_t") as number;
    const address = BigInt(koffi.decode(info, 24, "uint64_t") as number | bigint);
    const bytes = koffi.decode(address, koffi.array("uint8_t", length)) as Uint8Array | number[];
    addresses.push({ family: words[1] ?? 0, bytes: Uint8Array.from(bytes) });
    info = BigInt(koffi.decode(info, 40, "uint64_t") as number | bigint);
  }
  freeaddrinfo(first);
  return addresses;
}
