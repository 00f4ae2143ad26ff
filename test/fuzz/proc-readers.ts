import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ProcessStatus } from "../../src/cli/doctor/process-status.js";
import { fileNameBytes, fileNameOf } from "../../src/base/file-name.js";
import { mappingAt, parseMappings } from "../../src/targets/mappings.js";
import { parseOpenFilesLimit } from "../../src/targets/linux/open-files.js";
import { parseStat, StatusFields } from "../../src/targets/process-status.js";
import { showsUserfaultfd } from "../../src/targets/linux/smaps.js";
import { mutateText } from "./mutate-text.js";
import type { Original, Reader } from "./reader.js";

/** Files that nobody should have: the kernel shows their names nearly as they are. */
const NAMES = [
  "/tmp/with blanks in  it",
  "/tmp/with\\012a newline",
  "/tmp/a\\101b\\134",
  "/tmp/is (deleted) is not",
  "/tmp/gone (deleted)",
  "/tmp/gone (deleted) (deleted)",
  "/tmp/return\rof a carriage",
  "/tmp/\u2028\u2029\u0085\v\f",
  "/tmp/ 7f0000000000-7f0000001000 r-xp 00000000 00:00 0",
  "[vdso]",
  "[stack]",
  "[anon: a name]",
  "/memfd:x (deleted)",
  "/dev/zero (deleted)",
  "anon_inode:[perf_event]",
] as const;
const ODD_BYTES = [
  Buffer.of(0xff),
  Buffer.of(0xe9),
  Buffer.of(0xe8),
  Buffer.from([0xf0, 0x9f, 0x2e]),
  Buffer.of(0xc0, 0x80),
];

function oddMaps(): Original {
  const names = [
    ...NAMES.map((name) => Buffer.from(name)),
    ...ODD_BYTES.map((bytes) => Buffer.concat([Buffer.from("/tmp/caf"), bytes, Buffer.from(".so")])),
  ];
  const lines = names.map((name, index) => {
    const start = 0x7f0000000000 + index * 0x2000;
    const range = `${start.toString(16)}-${(start + 0x1000).toString(16)}`;
    return Buffer.concat([
      Buffer.from(`${range} r-xp 00001000 fe:01 ${String(index)} `.padEnd(73)),
      name,
      Buffer.from("\n"),
    ]);
  });
  const last = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
  return { name: "maps of odd names", bytes: Buffer.concat([...lines, Buffer.from(last)]) };
}

function own(name: string): Original {
  return { name: `/proc/self/${name}`, bytes: readFileSync(`/proc/self/${name}`) };
}

function text(name: string, content: string): Original {
  return { name, bytes: Buffer.from(content) };
}

const STAT = `7 (a) b) (\n) S 1 7 7 0 -1 4194560 ${Array.from({ length: 43 }, (_, index) => String(index)).join(" ")}\n`;
const STATUS =
  "Name:\ta\\nb:c\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nPid:\t7\nPPid:\t1\nTracerPid:\t0\nUid:\t0\t1\t2\t3\n";
const NUMBERS = ["Tgid", "PPid", "TracerPid", "Uid", "Gid"];
const MASKS = ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapEff"];

/** What is read of `/proc`, by readers of `/proc/PID`. */
export function procReaders(): Reader[] {
  const maps = [own("maps"), oddMaps(), oddMaps()];
  const status = [own("status"), text("a status", STATUS)];
  const stat = [own("stat"), text("a stat of an odd name", STAT)];
  const limits = [own("limits")];
  const smaps = [own("smaps")];
  return [
    {
      name: "proc-maps",
      originals: maps,
      mutate: (original, random) => mutateText(original, random, NAMES, maps),
      read(bytes, name) {
        compareMappings(bytes, parseMappings(fileNameOf(bytes), name));
        return "answered";
      },
    },
    {
      name: "proc-status",
      originals: status,
      mutate: (original, random) => mutateText(original, random, [...NUMBERS, ...MASKS, "Uid:\t0"], status),
      read(bytes, name) {
        const fields = new StatusFields(bytes.toString("utf8"), name);
        const doctor = new ProcessStatus(bytes.toString("utf8"));
        assert.equal(typeof doctor.isRoot, "boolean");
        assert.equal(typeof doctor.has("CAP_SYS_PTRACE"), "boolean");
        for (const field of NUMBERS) assert.ok(Number.isFinite(fields.number(field)));
        for (const field of MASKS) assert.ok(fields.mask(field) < 2n ** 64n);
        fields.get("Seccomp");
        return "answered";
      },
    },
    {
      name: "proc-stat",
      originals: stat,
      mutate: (original, random) => mutateText(original, random, [") S 1 1"], stat),
      read(bytes, name) {
        const [state, ...rest] = parseStat(bytes.toString("utf8"), name);
        assert.match(state ?? "", /^[A-Za-z]$/);
        for (const field of rest) assert.ok(Number.isFinite(Number(field)) && field !== "");
        return "answered";
      },
    },
    {
      name: "proc-limits",
      originals: limits,
      mutate: (original, random) =>
        mutateText(original, random, ["Max open files            1 2 files"], limits),
      read(bytes) {
        const limit = parseOpenFilesLimit(bytes.toString("utf8"));
        if (limit === undefined) return "warned";
        assert.ok(limit.soft < 2n ** 64n && limit.hard < 2n ** 64n);
        return "answered";
      },
    },
    {
      name: "proc-smaps",
      originals: smaps,
      mutate: (original, random) =>
        mutateText(original, random, ["VmFlags: rd um", "\nVmFlags: uw\n"], smaps),
      read(bytes) {
        const content = bytes.toString("utf8");
        for (const line of content.split("\n").slice(0, 40)) {
          const start = Number.parseInt(line, 16);
          if (start >= 0) showsUserfaultfd(content, start as Parameters<typeof showsUserfaultfd>[1]);
        }
        return "answered";
      },
    },
  ];
}

/** Takes the lines apart by their blanks, in bytes, and compares: nothing may be left out or renamed. */
function compareMappings(bytes: Buffer, mappings: ReturnType<typeof parseMappings>): void {
  const lines = bytes.toString("latin1").split("\n");
  if (lines.at(-1) === "") lines.pop();
  assert.equal(mappings.length, lines.length, "lines are left out");
  for (const [index, line] of lines.entries()) {
    const parts = /^([^-]*)-([^ ]*) (....) ([^ ]*) ([^ ]*) ([^ ]*) *([^]*)$/.exec(line);
    const mapping = mappings[index];
    assert.ok(parts !== null && mapping !== undefined, `line ${String(index)}`);
    const [, start = "", , flags = "", offset = "", , , name = ""] = parts;
    const shown = fileNameBytes(mapping.deleted ? `${mapping.path} (deleted)` : mapping.path);
    assert.equal(Buffer.from(shown).toString("latin1"), name.replaceAll("\\012", "\n"), "another name");
    assert.equal(
      BigInt.asUintN(64, BigInt(mapping.start)) >> 20n,
      BigInt(`0x${start}`) >> 20n,
      "another start",
    );
    assert.equal(mapping.offset, Number(`0x${offset}`));
    assert.equal(
      `${mapping.readable ? "r" : "-"}${mapping.writable ? "w" : "-"}${mapping.executable ? "x" : "-"}`,
      flags.slice(0, 3),
    );
    mappingAt(mappings, mapping.start);
  }
}
