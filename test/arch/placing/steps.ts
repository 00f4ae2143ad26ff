import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ImageCode } from "../../../src/arch/x86_64/placing/image-code.js";
import type { Address } from "../../../src/base/address.js";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import type { MappedPiece } from "../../../src/symbols/elf/load-bias.js";
import { loadedAt, type Vaddr } from "../../../src/symbols/vaddr.js";

/** What stepping through a program showed. */
export interface Stepped {
  readonly steps: number;
  /** How often an instruction was executed that a jump would displace and that is not the first it displaces. */
  readonly inside: number;
  /** Arrivals at such an instruction from elsewhere than the one before it. */
  readonly strays: readonly string[];
}

const SOURCES = "../../../../test/arch/placing";

/** Steps through a program of one thread, to its end or for so many instructions. Its output is thrown away. */
export function stepThrough(folder: string, most: number, ...program: readonly string[]): Stepped {
  const stepper = join(folder, "stepper");
  const source = join(import.meta.dirname, SOURCES, "stepper.c");
  execFileSync("gcc", ["-O1", source, "-o", stepper]);
  const log = join(folder, "log");
  const maps = join(folder, "maps");
  execFileSync(stepper, [log, maps, String(most), ...program], { stdio: "ignore", timeout: 120_000 });
  return judge(readFileSync(log), innerOf(readMaps(readFileSync(maps, "utf8"))));
}

function judge(log: Buffer, inner: ReadonlyMap<number, Inside>): Stepped {
  const strays: string[] = [];
  let inside = 0;
  let before = log.length >= 8 ? Number(log.readBigUInt64LE(0)) : 0;
  for (let at = 8; at + 8 <= log.length; at += 8) {
    const pc = Number(log.readBigUInt64LE(at));
    const found = inner.get(pc);
    if (found !== undefined) {
      inside++;
      // Itself: an iteration of a `rep` instruction.
      if (before !== found.before && before !== pc)
        strays.push(`${found.place} from 0x${before.toString(16)}`);
    }
    before = pc;
  }
  return { steps: log.length / 8, inside, strays };
}

interface Inside {
  /** Where the instruction before it starts. */
  readonly before: number;
  readonly place: string;
}

function innerOf(mappings: readonly MappedPiece[]): Map<number, Inside> {
  const inner = new Map<number, Inside>();
  for (const path of new Set(mappings.map((mapping) => mapping.path))) {
    if (!path.startsWith("/") || !isElf(path)) continue;
    using image = ElfImage.open(path);
    const bias = image.loadBias(mappings, path);
    if (bias === undefined) continue;
    const code = ImageCode.of(image);
    for (const place of [...code.functions.map(({ start }) => start), ...code.entries.exits]) {
      const plan = code.plan(place as Vaddr);
      if (plan.kind === "refused") continue;
      plan.displaced.forEach(({ at }, index) => {
        const before = plan.displaced[index - 1];
        if (before === undefined) return;
        const name = `${image.symbolAt(at as Vaddr)?.name ?? "?"} of ${path}, 0x${at.toString(16)}`;
        inner.set(loadedAt(at as Vaddr, bias), {
          before: loadedAt(before.at as Vaddr, bias),
          place: name,
        });
      });
    }
  }
  return inner;
}

function isElf(path: string): boolean {
  return readFileSync(path).subarray(1, 4).toString("latin1") === "ELF";
}

/** Lines of /proc/PID/maps, taken several times. */
function readMaps(text: string): MappedPiece[] {
  const pieces: MappedPiece[] = [];
  for (const line of new Set(text.split("\n"))) {
    const found = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+\s+(\/.*)$/.exec(line);
    if (found === null) continue;
    const [, start = "", end = "", protection = "", offset = "", path = ""] = found;
    pieces.push({
      start: Number.parseInt(start, 16) as Address,
      end: Number.parseInt(end, 16) as Address,
      offset: Number.parseInt(offset, 16),
      executable: protection.includes("x"),
      path,
    });
  }
  return pieces;
}
