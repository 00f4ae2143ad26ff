// Where our breakpoints stand, handlers read the program's own bytes.
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { test } from "node:test";
import { type HandlerKit, launch } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";
import { SUCCESS } from "../support/traced.js";
import { PATIENT, until } from "./aside.js";

const GCC = needs("gcc");
const INT3 = 0xcc;
const SYMBOLS = ["work", "the_work", "store", "the_store", "divide", "the_divide", "trap", "main"];

interface Text {
  readonly start: number;
  /** As the file has it. */
  readonly bytes: Buffer;
}

/** Where a process has its main program's text. */
function textIn(pid: number, program: string): Text {
  const maps = readFileSync(`/proc/${String(pid)}/maps`, "latin1").split("\n");
  const line = maps.find((each) => each.includes(" r-xp ") && each.endsWith(program)) ?? "";
  const [start = 0, end = 0, offset = 0] = (/^(\w+)-(\w+) \S+ (\w+)/.exec(line) ?? [])
    .slice(1)
    .map((digits) => parseInt(digits, 16));
  return { start, bytes: readFileSync(program).subarray(offset, offset + end - start) };
}

/** How many breakpoints of ours stand in it. */
function breakpointsIn(pid: number, text: Text): number {
  const file = openSync(`/proc/${String(pid)}/mem`, "r");
  try {
    const bytes = Buffer.alloc(text.bytes.length);
    readSync(file, bytes, 0, bytes.length, text.start);
    return bytes.filter((byte, index) => byte === INT3 && text.bytes[index] !== INT3).length;
  } finally {
    closeSync(file);
  }
}

const WAYS: Record<string, (k: HandlerKit, text: Text) => Uint8Array> = {
  bytes: (k, { start, bytes }) => k.memory.bytes(start, bytes.length),
  uint8: (k, { start, bytes }) => Uint8Array.from(bytes, (_, i) => k.memory.uint8(start + i)),
  uint64: (k, { start, bytes }) => {
    const words = new BigUint64Array(bytes.length / 8);
    for (let i = 0; i < words.length; i++) words[i] = k.memory.uint64(start + 8 * i);
    return new Uint8Array(words.buffer);
  },
};

test(
  "k.memory reads the program's own bytes where breakpoints of ours stand, however it reads",
  GCC,
  async () => {
    const program = target("faulty");
    await using running = await launch({ command: [program, ">/dev/null"], ...PATIENT });
    const text = textIn(running.pid, program);
    const same: Record<string, boolean> = {};
    let standing = 0;
    for (const symbolName of SYMBOLS) {
      await running.registerKprobe({
        symbolName,
        preHandler(_p, regs, k) {
          if (symbolName !== "the_work" || standing > 0) return;
          standing = breakpointsIn(running.pid, text);
          for (const [name, read] of Object.entries(WAYS)) same[name] = text.bytes.equals(read(k, text));
          const offset = Number(regs.rip) - text.start;
          same["string"] = k.memory.string(regs.rip, 1) === text.bytes.toString("latin1", offset, offset + 1);
        },
      });
    }
    assert.deepEqual(await running.run(), SUCCESS);
    assert.deepEqual(same, { bytes: true, uint8: true, uint64: true, string: true });
    // A function and the label of its first instruction have one breakpoint.
    assert.ok(standing >= SYMBOLS.length / 2, `${String(standing)} breakpoints stood there`);
  },
);

test("a read that faults behind a breakpoint faults where it would without one", GCC, async () => {
  const program = target("faulty");
  await using running = await launch({ ...PATIENT, command: [program, ">/dev/null"] });
  const text = textIn(running.pid, program);
  const faults = new Set<string>();
  const probe = await running.registerKprobe({
    symbolName: "the_work",
    preHandler(_p, _regs, k) {
      if (k.ksetjmp(() => void k.memory.bytes(text.start, 2 ** 26)) !== 0) faults.add(k.fault);
    },
  });
  assert.deepEqual(await running.run(), SUCCESS);
  assert.equal(probe.fencedFaults, 10);
  assert.equal(faults.size, 1);
});

test("a handler's kit reads nothing after the handler has returned", GCC, async () => {
  const program = target("faulty");
  await using running = await launch({ ...PATIENT, command: [program, ">/dev/null"] });
  const late: string[] = [];
  await running.registerKprobe({
    symbolName: "the_work",
    preHandler(_p, regs, k) {
      const { rsp } = regs;
      setImmediate(() => {
        try {
          k.memory.uint8(rsp);
        } catch (error) {
          late.push(String(error));
        }
      });
    },
  });
  assert.deepEqual(await running.run(), SUCCESS);
  await until("what was left for later is done", () => late.length > 0);
  assert.deepEqual([...new Set(late)], ["Error: the handler kit was used outside a handler"]);
});

test("user_int8 and its like read the program's own bytes where a breakpoint of ours stands", GCC, () => {
  const program = target("faulty");
  const outcome = trapline(
    "-e",
    `global first, same
     probe process.function("the_work") {
       ip = u_register("rip")
       first = user_uint8(ip)
       if ((user_uint32(ip) & 0xff) == first && (user_uint64(ip - 4) >> 32 & 0xff) == first) same++
     }
     probe end { printf("%x %d\\n", first, same) }`,
    "-c",
    program,
  );
  // add $1,%r64: REX.W first.
  assert.match(printed(outcome, run(program)), /^4[89] 10\n$/);
  assert.equal(outcome.stderr, "");
});
