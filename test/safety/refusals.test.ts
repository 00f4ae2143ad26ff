// Each reason to refuse a place, on a real program. docs/safety.md names these tests.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { planDisplacement } from "../../src/arch/x86_64/displaced.js";
import type { Address } from "../../src/base/address.js";
import { REFUSAL_REASONS, type RefusalReason } from "../../src/base/refusals.js";
import { attach, type Kprobe, launch, ProbeRefused } from "../../src/index.js";
import type { JsonEvent } from "../../src/output/json-sink.js";
import { armAt } from "../../src/probes/arming.js";
import { Location } from "../../src/probes/location.js";
import { RETURNED } from "../../src/probes/outcome.js";
import { writeSlot } from "../../src/probes/out-of-line.js";
import { Probe } from "../../src/probes/probe.js";
import { ProbedSpace } from "../../src/probes/space.js";
import type { Memory, SpaceId, Target, ThreadId } from "../../src/targets/target.js";
import { PATIENT } from "../api/aside.js";
import { needs } from "../support/needs.js";
import { target, trapline } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";

const GCC = needs("gcc");

interface Provoked {
  readonly name: string;
  readonly reason: RefusalReason;
  readonly probe: Kprobe;
  /** What the program does to its own text first. */
  readonly change?: string;
}

const PROVOKED: readonly Provoked[] = [
  {
    name: "bytes that are no instruction are refused",
    reason: "does-not-decode",
    probe: { symbolName: "no_instruction" },
  },
  { name: "a far call is refused", reason: "far-call", probe: { symbolName: "far_call" } },
  {
    name: "a branch that processors take differently is refused",
    reason: "vendor-dependent-branch",
    probe: { symbolName: "narrow_branch" },
  },
  { name: "an entry into an enclave is refused", reason: "enclu", probe: { symbolName: "into_enclave" } },
  {
    name: "behind an instruction that goes to where only the processor knows no handler can be",
    reason: "returns-elsewhere",
    probe: { symbolName: "far_return", postHandler: () => undefined },
  },
  {
    name: "a place without instructions is refused",
    reason: "not-code",
    probe: { symbolName: "long_one", offset: 0x100000 },
  },
  {
    name: "the middle of an instruction is refused",
    reason: "inside-instruction",
    probe: { symbolName: "long_one", offset: 2 },
  },
  {
    name: "an instruction that is cut off by the end of its mapping is refused",
    reason: "truncated",
    probe: { symbolName: "cut_off" },
    change: "unmap",
  },
  {
    name: "a function whose page was unmapped is refused",
    reason: "unmapped",
    probe: { symbolName: "taken_away" },
    change: "unmap",
  },
  {
    name: "text in a shared mapping is refused",
    reason: "shared-mapping",
    probe: { symbolName: "page_begins" },
    change: "share",
  },
  {
    name: "a breakpoint that is there already is left to whoever put it there",
    reason: "foreign-breakpoint",
    probe: { symbolName: "long_one" },
    change: "breakpoint",
  },
];

for (const { name, reason, probe, change } of PROVOKED)
  test(name, GCC, async () => {
    const words = change === undefined ? [] : [change];
    const { pid, ended } = await startStopping([target("refuses"), ...words]);
    {
      await using running = await attach({ pid, ...PATIENT });
      const refused = running.registerKprobe({ preHandler: () => undefined, ...probe });
      await assert.rejects(refused, (error) => {
        assert.ok(error instanceof ProbeRefused, String(error));
        assert.equal(error.reason, reason, error.message);
        assert.match(error.message, /^cannot probe 0x[0-9a-f]+: ./);
        return true;
      });
    }
    process.kill(pid, "SIGCONT");
    assert.equal(await ended, 7);
  });

/** Ends with 7; its text is right below the end of the address space. */
const AT_THE_END = `
  .globl _start, leads_out, names_outside
  .type leads_out, @function
  .type names_outside, @function
_start: call names_outside
  mov $60, %eax
  mov $7, %edi
  syscall
leads_out: .byte 0xe9, 0xff, 0xff, 0xff, 0x7f
  .size leads_out, . - leads_out
names_outside: lea 0x7fffffff(%rip), %rax
  ret
  .size names_outside, . - names_outside
`;
const AT_THE_END_FLAGS = ["-nostdlib", "-static", "-Wl,-Ttext-segment=0x7ffffff00000"];

test("a branch that leads out of the address space is refused", GCC, async () => {
  await withProgram(AT_THE_END, AT_THE_END_FLAGS, async (program) => {
    await using running = await launch({ command: [program], ...PATIENT });
    await assert.rejects(
      running.registerKprobe({ symbolName: "leads_out" }),
      (error) => error instanceof ProbeRefused && error.reason === "branch-out-of-address-space",
    );
    assert.deepEqual(await running.run(), { kind: "exited", status: 7 });
  });
});

test(
  "where no copy can reach what the instruction addresses the probe is given up by name",
  GCC,
  async () => {
    await withProgram(AT_THE_END, AT_THE_END_FLAGS, async (program) => {
      await using running = await launch({ command: [program], ...PATIENT });
      const probe = await running.registerKprobe({
        symbolName: "names_outside",
        preHandler: () => undefined,
      });
      assert.deepEqual(await running.run(), { kind: "exited", status: 7 });
      assert.match(
        probe.disarmedBecause ?? "",
        /^cannot probe 0x7ffffff[0-9a-f]+: what the instruction addresses/,
      );
      assert.deepEqual([probe.hits, probe.abandoned], [1, 1]);
    });
  },
);

test("a target that cannot hold copies gives up what needs one", () => {
  const at = 0x40_1000 as Address;
  const load = planDisplacement(Uint8Array.of(0x48, 0x89, 0xc3), at);
  assert.ok(load.kind === "copy");
  const memory = { read: () => 0, readSome: () => 0, write: () => undefined, writeText: () => undefined };
  const space = new ProbedSpace(1 as SpaceId, memory as unknown as Memory);
  const location = new Location(space.id, at, 0x48, load);
  assert.throws(
    () => writeSlot({ capabilities: {} } as Target, 1 as ThreadId, space, location, false, undefined),
    (error) => error instanceof ProbeRefused && error.reason === "no-slot",
  );
});

// By a target that says so: there are kernels and processors without.
test("where the program has shadow stacks a call is refused, and a handler behind a return", () => {
  const at = 0x40_1000 as Address;
  const arm = (text: readonly number[], post: boolean): void => {
    const memory = {
      readSome: (_at: Address, into: Uint8Array) => (into.set(text), text.length),
      writeText: () => undefined,
    };
    const space = new ProbedSpace(1 as SpaceId, memory as unknown as Memory, undefined, false, () => true);
    const definition = { name: "shadowed", ...(post ? { post: () => RETURNED } : { pre: () => RETURNED }) };
    armAt(space, at, { probe: new Probe(1, definition), key: undefined, accepts: undefined }, {});
  };
  const refused = (error: unknown): boolean =>
    error instanceof ProbeRefused && error.reason === "shadow-stack";
  const [call, indirectCall, ret] = [[0xe8, 0, 0, 0, 0], [0xff, 0xd0], [0xc3]] as const;
  for (const post of [false, true])
    for (const text of [call, indirectCall])
      assert.throws(() => {
        arm(text, post);
      }, refused);
  assert.throws(() => {
    arm(ret, true);
  }, refused);
  arm(ret, false);
});

/** As many breakpoints as a shelter has entries for. */
const CAPACITY = 256 * 1024;

test("more breakpoints than a shelter has room for are refused, and the others are hit", GCC, async (t) => {
  const more = 50;
  const functions = Array.from({ length: CAPACITY + more }, (_, index) =>
    functionOf(`f${String(index)}`, "nop"),
  );
  const source = `  .globl main\n${functionOf("main", "mov $7, %eax; ret")}${functions.join("")}`;
  await withProgram(source, [], (program) => {
    const script = `global n probe process(${JSON.stringify(program)}).function("*") { n++ }`;
    const { stdout, stderr } = trapline("--json", "-e", script, "-c", program);
    const events = stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as JsonEvent);
    const probe = events.find((event) => event.kind === "probe");
    assert.ok(probe?.kind === "probe" && probe.places !== undefined, `${stdout}${stderr}`);
    const { armed, refused } = probe.places;
    t.diagnostic(`${String(armed)} armed, ${JSON.stringify(refused)}`);
    assert.deepEqual(Object.keys(refused), ["too-many"]);
    assert.ok((refused["too-many"] ?? 0) > more && armed > CAPACITY - 100);
    assert.ok(probe.hits > 0);
    const end = events.at(-1);
    assert.deepEqual(end?.kind === "end" && end.target, { kind: "exited", status: 7 });
  });
});

function functionOf(name: string, text: string): string {
  return `  .type ${name}, @function\n${name}: ${text}\n  .size ${name}, . - ${name}\n`;
}

async function withProgram(
  source: string,
  flags: readonly string[],
  use: (program: string) => void | Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "trapline-refusals-"));
  try {
    const program = join(folder, "program");
    writeFileSync(`${program}.s`, `  .text\n${source}  .section .note.GNU-stack, "", @progbits\n`);
    execFileSync("gcc", [...flags, "-o", program, `${program}.s`]);
    await use(program);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("each reason to refuse a place has one row in docs/safety.md, with one test", () => {
  const text = readFileSync(new URL("../../../docs/safety.md", import.meta.url), "utf8");
  const rows = [
    ...text.matchAll(/^\| `([a-z-]+)` +\| ([^|]+?) +\| \[([^\]]+)\]\(\.\.\/(test\/[^)]*)\) +\|$/gm),
  ];
  assert.deepEqual(rows.map(([, reason]) => reason).sort(), [...REFUSAL_REASONS].sort());
  const tests = rows.map(([, , , name]) => name);
  assert.equal(new Set(tests).size, tests.length, "one test a reason");
});
