import { UsageError } from "../../../base/errors.js";

/** Where a stub is. */
export type StubAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "serial"; readonly path: string; readonly baud: number }
  | { readonly kind: "pipe"; readonly command: string };

/** What gdb and KGDB take, too, where nobody says otherwise. */
const BAUD = 115200;

const FORMS =
  "HOST:PORT, unix:PATH, a serial device as /dev/ttyS0 or /dev/ttyS0,115200, or '| COMMAND' that talks the protocol";

/**
 * Parses `HOST:PORT`, `tcp:HOST:PORT`, `[::1]:PORT`, `unix:PATH`, `/dev/ttyS0[,BAUD]`, `serial:PATH[,BAUD]`,
 * `| COMMAND`.
 *
 * @throws UsageError it is none of these
 */
export function parseStubAddress(text: string): StubAddress {
  const spec = text.trim();
  if (spec.startsWith("|")) {
    const command = spec.slice(1).trim();
    if (command === "") throw unknown(text, "there is no command behind the |");
    return { kind: "pipe", command };
  }
  if (spec.startsWith("unix:")) {
    const path = spec.slice("unix:".length);
    if (path === "") throw unknown(text, "there is no path behind unix:");
    return { kind: "unix", path };
  }
  if (spec.startsWith("udp:")) throw unknown(text, "UDP loses packets, and is not supported");
  if (spec.startsWith("/") || spec.startsWith("serial:")) return serial(text, spec.replace(/^serial:/, ""));
  return tcp(text, spec.replace(/^tcp:/, ""));
}

/** As a sentence names it: `127.0.0.1:1234`. */
export function describeAddress(address: StubAddress): string {
  switch (address.kind) {
    case "tcp":
      return address.host.includes(":")
        ? `[${address.host}]:${address.port}`
        : `${address.host}:${address.port}`;
    case "unix":
      return `unix:${address.path}`;
    case "serial":
      return `${address.path},${address.baud}`;
    case "pipe":
      return `| ${address.command}`;
  }
}

function serial(text: string, spec: string): StubAddress {
  const match = /^([^,]+)(?:,(.*))?$/s.exec(spec);
  const path = match?.[1];
  if (path === undefined) throw unknown(text, "there is no device");
  const digits = match?.[2];
  if (digits === undefined) return { kind: "serial", path, baud: BAUD };
  const baud = /^[0-9]{1,8}$/.test(digits) ? Number(digits) : 0;
  if (baud === 0) throw unknown(text, `${JSON.stringify(digits)} is no speed of a serial line`);
  return { kind: "serial", path, baud };
}

function tcp(text: string, spec: string): StubAddress {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,5})$/.exec(spec);
  if (match === null) throw unknown(text, "it has no host and port");
  const port = Number(match[3]);
  if (port < 1 || port > 65535) throw unknown(text, `${port} is no port`);
  const host = match[1] ?? match[2] ?? "";
  return { kind: "tcp", host: host === "" ? "localhost" : host, port };
}

function unknown(text: string, why: string): UsageError {
  return new UsageError(`${JSON.stringify(text)} is no address of a stub: ${why}`, {
    remedy: `Use ${FORMS}.`,
  });
}
