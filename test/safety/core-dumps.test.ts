// A program that dumps core while it is probed leaves the core that it would have left bare.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { attach, type Kprobe } from "../../src/index.js";
import { PATIENT } from "../api/aside.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";

const PLAIN_CORES = /^core\b/.test(readFileSync("/proc/sys/kernel/core_pattern", "latin1"));
const GCC = PLAIN_CORES ? needs("gcc") : { skip: "cores go elsewhere here: kernel.core_pattern" };

const ignore = (): undefined => undefined;
const PROBES: readonly Kprobe[] = ["main", "plain", "faults", "traps"].map((symbolName) => ({
  symbolName,
  preHandler: ignore,
  postHandler: ignore,
}));

/** How it dies, and what the core says: the signal, and the symbol and offset of the program counter. */
const DEATHS = {
  fault: { signal: 11, at: ["faults", 0] },
  trap: { signal: 5, at: ["traps", 2] },
  abort: { signal: 6, at: undefined },
  signal: { signal: 24, at: undefined },
} as const;

for (const [how, { signal, at }] of Object.entries(DEATHS)) {
  test(
    `the core of a program that dies by ${how} shows its own text and its own addresses`,
    GCC,
    async () => {
      const program = target("crashes", "-no-pie");
      const folder = mkdtempSync(join(tmpdir(), "trapline-core-"));
      try {
        const script = `cd ${folder} && ulimit -c unlimited && exec ${program} ${how}`;
        const { pid, ended } = await startStopping(["sh", "-c", script]);
        {
          await using running = await attach({ pid, write: () => undefined, ...PATIENT });
          for (const probe of PROBES) await running.registerKprobe(probe);
          process.kill(pid, "SIGCONT");
          const status = await running.run();
          assert.ok(status?.kind === "killed" && status.number === signal && status.coreDumped);
        }
        await ended;
        const [file = "none"] = readdirSync(folder);
        const core = readCore(readFileSync(join(folder, file)));
        const symbols = symbolsOf(program);
        for (const { symbolName = "" } of PROBES) {
          const { address, bytes } = symbols(symbolName);
          assert.deepEqual(core.at(address, bytes.length), bytes, symbolName);
        }
        if (at !== undefined) assert.equal(core.programCounter, symbols(at[0]).address + BigInt(at[1]));
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
}

interface Core {
  readonly programCounter: bigint;
  at(address: bigint, length: number): Buffer;
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: bigint;
  /** In the file. */
  readonly length: number;
}

/** elf(5), "Program header". */
function segmentsOf(file: Buffer): Segment[] {
  return Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const header = Number(file.readBigUInt64LE(32)) + 56 * index;
    return {
      type: file.readUInt32LE(header),
      offset: Number(file.readBigUInt64LE(header + 8)),
      address: file.readBigUInt64LE(header + 16),
      length: Number(file.readBigUInt64LE(header + 32)),
    };
  });
}

function segmentAt(segments: readonly Segment[], address: bigint): Segment | undefined {
  const PT_LOAD = 1;
  return segments.find(
    (each) =>
      each.type === PT_LOAD && address >= each.address && address < each.address + BigInt(each.length),
  );
}

/** elf(5); `struct elf_prstatus` of linux/elfcore.h, whose registers begin at 112. */
function readCore(file: Buffer): Core {
  const [PT_NOTE, PRSTATUS_RIP] = [4, 112 + 16 * 8];
  const headers = segmentsOf(file);
  const note = headers.find(({ type }) => type === PT_NOTE);
  assert.ok(note !== undefined);
  // The first note is the dying thread's status: name "CORE", padded to 8 bytes, behind 12 bytes of header.
  const programCounter = file.readBigUInt64LE(note.offset + 12 + 8 + PRSTATUS_RIP);
  return {
    programCounter,
    at(address, length) {
      const segment = segmentAt(headers, address);
      assert.ok(segment !== undefined, `0x${address.toString(16)} was not dumped`);
      const from = segment.offset + Number(address - segment.address);
      return file.subarray(from, from + length);
    },
  };
}

/** Of a program that is not position-independent: where a function is, and its bytes. */
function symbolsOf(program: string): (name: string) => { address: bigint; bytes: Buffer } {
  const file = readFileSync(program);
  const lines = execFileSync("nm", ["-S", program], { encoding: "latin1" }).split("\n");
  const segments = segmentsOf(file);
  return (name) => {
    const [value = "", size = ""] = lines.find((line) => line.endsWith(` ${name}`))?.split(" ") ?? [];
    const address = BigInt(`0x${value}`);
    const segment = segmentAt(segments, address);
    assert.ok(segment !== undefined);
    const from = segment.offset + Number(address - segment.address);
    return { address, bytes: file.subarray(from, from + parseInt(size, 16)) };
  };
}
