import { Decoder, DecoderOptions } from "iced-x86";
import { launch } from "../src/index.js"; // elsewhere: from "trapline"

/** strlen has its first load well before this. */
const BYTES = 96;
const LIBC = "libc.so.6";

/**
 * Finds the instruction of strlen that faults when a program has it read a text that is not there.
 * Which it is depends on the processor: libc has a strlen for each.
 *
 * @returns its offset from strlen
 */
export async function faultingLoad(command: readonly string[]): Promise<number> {
  const code = await codeOfStrlen(command);
  await using target = await launch({ command });
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const places = [];
  while (decoder.position < BYTES - 15) {
    const offset = Number(decoder.decode().ip);
    const probe = await target.registerKprobe({
      symbolName: "strlen",
      module: LIBC,
      offset,
      postFaultHandler: () => undefined,
    });
    places.push({ offset, probe });
  }
  await target.run();
  const found = places.find(({ probe }) => probe.instructionFaults > 0);
  if (found === undefined) throw new Error("no instruction at the beginning of strlen faulted");
  return found.offset;
}

/** The code as the program has it in memory. A probe's own byte would be seen there, so one looks that is elsewhere. */
async function codeOfStrlen(command: readonly string[]): Promise<Uint8Array> {
  await using target = await launch({ command });
  let at = 0n;
  let code: Uint8Array | undefined;
  const probe = await target.registerKprobe({
    symbolName: "strlen",
    module: LIBC,
    preHandler(_probe, registers) {
      at = registers.rip;
      void probe.unregister();
    },
  });
  await target.registerKprobe({
    symbolName: "write",
    module: LIBC,
    preHandler(_probe, _registers, k) {
      code ??= k.memory.bytes(at, BYTES);
    },
  });
  await target.run();
  if (code === undefined) throw new Error("the program never called strlen and write");
  return code;
}
