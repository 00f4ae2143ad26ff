import { spawn } from "node:child_process";
import { type Stats, statSync } from "node:fs";
import { TargetError } from "../../../base/errors.js";
import {
  closeFile,
  ERRNO,
  errorName,
  openFile,
  SharedBytes,
  SYS,
  systemCall,
  systemCall3,
} from "../../system-calls.js";
import { describeAddress, parseStubAddress, type StubAddress } from "./address.js";
import { type Connection, DescriptorConnection } from "./connection.js";
import { StubError } from "./errors.js";
import { resolveHost, type SocketAddress, unixAddress } from "./socket-address.js";
import { setSerialLine } from "./serial-line.js";

// include/linux/net.h, include/uapi/linux/tcp.h, include/uapi/asm-generic/{socket,fcntl}.h
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const O_RDWR = 2;
const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;
const F_SETFL = 4;
const POLLOUT = 4;

const RETRY_MS = 20;

export interface ConnectOptions {
  /** How long making the connection may take, milliseconds. Default: {@link CONNECT_MS}. */
  readonly connectWithin?: number;
  /** Wait so long for somebody to listen there at all, milliseconds: a stub that is being started. Default: not at all. */
  readonly appearsWithin?: number;
}

/** A host that does not answer is told as such after so long; milliseconds. */
const CONNECT_MS = 10_000;

/**
 * Connects to a stub.
 *
 * @param spec see {@link parseStubAddress}
 * @throws UsageError the address is none
 * @throws StubError  nobody is there, kind "closed"
 */
export function connect(spec: string, options: ConnectOptions = {}): Connection {
  const address = parseStubAddress(spec);
  const name = describeAddress(address);
  const giveUp = performance.now() + (options.appearsWithin ?? 0);
  for (;;) {
    try {
      return open(address, name, performance.now() + (options.connectWithin ?? CONNECT_MS));
    } catch (error) {
      if (!(error instanceof NobodyThere)) throw error;
      if (performance.now() >= giveUp) throw couldNot(name, error.result);
      pause(RETRY_MS);
    }
  }
}

/** Waiting could help. */
class NobodyThere extends TargetError {
  constructor(readonly result: number) {
    super(`nobody listens there: ${errorName(result)}`);
  }
}

function open(address: StubAddress, name: string, until: number): Connection {
  switch (address.kind) {
    case "tcp": {
      let failure: unknown;
      for (const socketAddress of resolveHost(address.host, address.port, name)) {
        try {
          const descriptor = connectSocket(socketAddress, name, until);
          const on = new SharedBytes(4);
          on.words[0] = 1;
          // Where it is refused, answers are late, not wrong.
          systemCall(SYS.setsockopt, descriptor, IPPROTO_TCP, TCP_NODELAY, on.address, 4);
          return new DescriptorConnection(name, descriptor);
        } catch (error) {
          failure ??= error;
        }
      }
      throw failure;
    }
    case "unix":
      return new DescriptorConnection(name, connectSocket(unixAddress(address.path, name), name, until));
    case "serial":
      return openDevice(address.path, address.baud, name, until);
    case "pipe":
      return startCommand(address.command, name);
  }
}

function connectSocket(to: SocketAddress, name: string, until: number): number {
  const descriptor = systemCall3(SYS.socket, to.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw couldNot(name, descriptor);
  try {
    const bytes = new SharedBytes(to.bytes.length);
    bytes.bytes.set(to.bytes);
    let result = systemCall3(SYS.connect, descriptor, bytes.address, to.bytes.length);
    if (result === -ERRNO.EINPROGRESS || result === -ERRNO.EINTR)
      result = finishConnect(descriptor, name, until);
    if (result === -ERRNO.ECONNREFUSED || result === -ERRNO.ENOENT) throw new NobodyThere(result);
    if (result < 0) throw couldNot(name, result);
    return descriptor;
  } catch (error) {
    closeFile(descriptor);
    throw error;
  }
}

function finishConnect(descriptor: number, name: string, until: number): number {
  const poll = new SharedBytes(8);
  poll.view.setInt32(0, descriptor, true);
  poll.view.setInt32(4, POLLOUT, true);
  for (;;) {
    const left = Math.ceil(until - performance.now());
    const result = systemCall3(SYS.poll, poll.address, 1, Math.max(0, left));
    if (result > 0) break;
    if (result < 0 && result !== -ERRNO.EINTR) return result;
    if (left <= 0)
      throw new StubError("silent", `cannot connect to ${name}: it does not answer`, { remedy: WHERE });
  }
  const value = new SharedBytes(8);
  value.words[1] = 4;
  const result = systemCall(
    SYS.getsockopt,
    descriptor,
    SOL_SOCKET,
    SO_ERROR,
    value.address,
    value.address + 4,
  );
  return result < 0 ? result : -(value.words[0] as number); // four bytes long
}

function openDevice(path: string, baud: number, name: string, until: number): Connection {
  let stats: Stats | undefined;
  try {
    stats = statSync(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    // Opening it will say it, and better.
  }
  if (stats?.isSocket() === true)
    return new DescriptorConnection(name, connectSocket(unixAddress(path, name), name, until));
  if (stats !== undefined && !stats.isCharacterDevice())
    throw new StubError("closed", `cannot connect to ${name}: ${path} is no serial device and no socket`);
  const descriptor = openFile(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (descriptor < 0) throw couldNot(name, descriptor);
  const result = setSerialLine(descriptor, baud);
  if (result < 0) {
    closeFile(descriptor);
    throw new StubError(
      "closed",
      `cannot connect to ${name}: ${path} is no serial line: ${errorName(result)}`,
    );
  }
  return new DescriptorConnection(name, descriptor);
}

/** The command has one end of a pair of sockets as its standard input and output. */
function startCommand(command: string, name: string): Connection {
  const pair = new SharedBytes(8);
  const result = systemCall(SYS.socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.address);
  if (result < 0) throw couldNot(name, result);
  const [ours, theirs] = [pair.words[0] as number, pair.words[1] as number]; // eight bytes long
  // Ours alone: programs expect a standard input that blocks.
  systemCall3(SYS.fcntl, ours, F_SETFL, O_NONBLOCK);
  // Of its own group: an interrupt from the keyboard is for us to deal with.
  const child = spawn("/bin/sh", ["-c", command], { stdio: [theirs, theirs, 2], detached: true });
  closeFile(theirs);
  // That it could not be started is seen by the connection, which is closed then.
  child.on("error", () => undefined);
  child.unref();
  return new DescriptorConnection(name, ours, () => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    // A stub that has been left ends by itself; one that hangs must not stay behind. ESRCH: it has ended.
    systemCall3(SYS.kill, -child.pid, SIGTERM, 0);
  });
}

const SIGTERM = 15;

const WHERE = "Is the stub running, and is this the address where it listens?";

function couldNot(name: string, result: number): StubError {
  return new StubError("closed", `cannot connect to ${name}: ${errorName(result)}`, { remedy: WHERE });
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
