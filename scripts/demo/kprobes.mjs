// The part of the demo that is written on the TypeScript API, in a process of its own, so that what the
// program prints is not mixed with ours. Usage: kprobes.mjs RESULT-FILE COMMAND...
//
// First run: finds the instruction of strlen that faults. Second run: cases 2 and 5 with a faultHandler.
import { readFileSync, writeFileSync } from "node:fs";
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from "iced-x86";
import { launch } from "trapline";

const [resultFile = "", ...command] = process.argv.slice(2);
const LIBC = "libc.so.6";
/** strlen has its first load well before this. */
const BYTES = 96;

const body = await bodyOfStrlen();
const place = await faultingInstruction(body);
const held = await releaseWhatIsHeld(place);
writeFileSync(resultFile, JSON.stringify({ ...place, ...held }));

/**
 * Where strlen (the one that libc chose for this processor) is, and what it consists of.
 *
 * @returns {Promise<{ address: number, code: Uint8Array }>} `address` as in the ELF file
 */
async function bodyOfStrlen() {
  const target = await launch({ command });
  try {
    const mappings = readFileSync(`/proc/${target.pid}/maps`, "utf8").split("\n");
    const areas = mappings.flatMap((line) => {
      const found = /^(\w+)-(\w+) \S+ (\w+) \S+ \d+ +(\/.*libc[.-].*)$/.exec(line);
      if (!found) return [];
      const [start = 0, end = 0, offset = 0] = found.slice(1, 4).map((word) => Number.parseInt(word, 16));
      return [{ start, end, offset, path: found[4] ?? "" }];
    });
    const base = areas[0]?.start ?? 0;
    let at = 0;
    await target.registerKprobe({
      symbolName: "strlen",
      module: LIBC,
      preHandler(_probe, registers) {
        at ||= Number(registers.rip);
      },
    });
    await target.run();
    const area = areas.find(({ start, end }) => at >= start && at < end);
    if (area === undefined) throw new Error("the program never called strlen of libc");
    // From the file: in memory the probe's own byte stands at the beginning.
    const from = at - area.start + area.offset;
    return { address: at - base, code: readFileSync(area.path).subarray(from, from + BYTES) };
  } finally {
    await target[Symbol.asyncDispose]();
  }
}

/**
 * Registers a probe on each instruction and lets the faults tell which it is.
 *
 * @param {{ address: number, code: Uint8Array }} strlen
 */
async function faultingInstruction({ address, code }) {
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const formatter = new Formatter(FormatterSyntax.Gas);
  const target = await launch({ command });
  try {
    const candidates = [];
    while (decoder.position < code.length - 15) {
      const instruction = decoder.decode();
      const offset = Number(instruction.ip);
      const text = formatter.format(instruction);
      // A jump back to the start of the function makes these one location.
      const registered = await target.registerKprobe({
        symbolName: "strlen",
        module: LIBC,
        offset,
        // Registered for its count alone.
        postFaultHandler: () => undefined,
      });
      candidates.push({ offset, text, registered });
      if (text.startsWith("ret")) break;
    }
    await target.run();
    const found = candidates.find(({ registered }) => registered.instructionFaults > 0);
    if (found === undefined) throw new Error("no instruction at the start of strlen faulted");
    return { address: address + found.offset, offset: found.offset, instruction: found.text };
  } finally {
    await target[Symbol.asyncDispose]();
  }
}

/**
 * Cases 2 and 5: a handler holds something, faults unexpectedly, and its probe's faultHandler says so.
 *
 * @param {{ offset: number }} place
 */
async function releaseWhatIsHeld({ offset }) {
  const target = await launch({ command });
  const seen = { taken: 0, released: 0, told: 0, message: "", holding: "" };
  try {
    const probe = await target.registerKprobe({
      symbolName: "strlen",
      module: LIBC,
      offset,
      preHandler(_probe, registers, k) {
        seen.taken++;
        const release = k.hold("the lock", () => seen.released++);
        k.memory.string(registers.rdi);
        release();
      },
      faultHandler(_probe, fault, held) {
        seen.told++;
        seen.message = fault.message;
        seen.holding = held.join(", ");
      },
    });
    await target.run();
    return { typescript: { ...seen, hits: probe.hits, instructionFaults: probe.instructionFaults } };
  } finally {
    await target[Symbol.asyncDispose]();
  }
}
