import type { Exchange } from "./exchange.js";
import type { PacketBuilder } from "./packet-builder.js";
import { StubError } from "./errors.js";

/** What we tell a stub of ourselves. */
const OURS = [
  "multiprocess+",
  "swbreak+",
  "hwbreak+",
  "qRelocInsn-",
  "vContSupported+",
  "QThreadEvents+",
  "no-resumed+",
  "xmlRegisters=i386",
];
/** Only where we are ready for the stops that they bring. */
const EVENTS = ["fork-events+", "vfork-events+", "exec-events+"];

/** Packets of stubs that do not say how long one may be. */
const DEFAULT_PACKET_SIZE = 400;
const SMALLEST_PACKET_SIZE = 64;
/** More than that is of no use. */
const LARGEST_PACKET_SIZE = 2 ** 20;

/** Stops that are told before the answer to the first question. */
const MOST_UNASKED = 4;

/** What a stub says that it can do: `qSupported`. */
export class Features {
  /** The longest data of a packet that the stub takes, bytes. */
  readonly packetSize: number;
  private readonly values = new Map<string, string>();

  constructor(text: string, packetSize?: number) {
    for (const part of text.split(";")) {
      const match = /^([^=+\-?]+)(?:=(.*)|([+\-?]))$/s.exec(part);
      if (match?.[1] !== undefined) this.values.set(match[1], match[2] ?? match[3] ?? "");
    }
    const size = this.values.get("PacketSize");
    const stated =
      size !== undefined && /^[0-9a-f]{1,8}$/i.test(size) ? Number.parseInt(size, 16) : undefined;
    this.packetSize = Math.min(
      Math.max(packetSize ?? stated ?? DEFAULT_PACKET_SIZE, SMALLEST_PACKET_SIZE),
      LARGEST_PACKET_SIZE,
    );
  }

  has(name: string): boolean {
    return this.values.get(name) === "+";
  }
}

/** The beginning of a stop reply, which no answer to qSupported has. */
const STOP = /^[TS][0-9a-f]{2}(?:$|[a-z]+:)/i;

/**
 * The first questions: what can the stub do, and must packets be acknowledged?
 *
 * @param packetSize overrides what the stub says, or does not
 * @throws StubError nobody there speaks the protocol
 */
export function greet(
  exchange: Exchange,
  packet: PacketBuilder,
  options: { readonly events: boolean; readonly packetSize?: number | undefined },
): Features {
  // Whatever it said before, to somebody else, has arrived.
  exchange.sendAck();
  const ours = [...OURS, ...(options.events ? EVENTS : [])];
  try {
    exchange.ask(packet.start(`qSupported:${ours.join(";")}`));
    // A machine that ran is stopped by QEMU when somebody connects, and that is told before any answer.
    if (STOP.test(exchange.text()) && !exchange.listen(exchange.now() + exchange.times.answerWithin))
      throw exchange.fail("silent", "tells of a stop, and does not answer");
  } catch (error) {
    if (!(error instanceof StubError) || error.kind !== "silent") throw error;
    throw exchange.fail(
      "silent",
      "does not answer: is it a stub of the GDB remote protocol, and has no other debugger connected to it?",
    );
  }
  // QEMU stops a running machine for whoever connects, and says so unasked.
  for (let unasked = 0; unasked < MOST_UNASKED && /^[TS][0-9a-f]{2}/i.test(exchange.text()); unasked++)
    exchange.receive();
  const features = new Features(
    exchange.errorCode() === undefined ? exchange.text() : "",
    options.packetSize,
  );
  if (features.has("QStartNoAckMode")) {
    exchange.ask(packet.start("QStartNoAckMode"));
    if (exchange.is("OK")) exchange.acknowledges = false;
  }
  return features;
}
