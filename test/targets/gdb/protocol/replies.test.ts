// What stubs say, as recorded from real ones, and as nobody should say it.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RegisterFile } from "../../../../src/arch/x86_64/registers.js";
import { TargetError } from "../../../../src/base/errors.js";
import { Features } from "../../../../src/targets/gdb/protocol/features.js";
import { decodeRegisters, RegisterLayout } from "../../../../src/targets/gdb/protocol/register-layout.js";
import { linuxSignal } from "../../../../src/targets/gdb/protocol/signals.js";
import { parseStopReply } from "../../../../src/targets/gdb/protocol/stop-reply.js";
import { readDescription } from "../../../../src/targets/gdb/protocol/target-description.js";
import { ThreadIds } from "../../../../src/targets/gdb/protocol/thread-ids.js";

const parse = (text: string): ReturnType<typeof parseStopReply> => parseStopReply(text, new ThreadIds());

test("stops of QEMU, gdbserver and KGDB", () => {
  assert.deepEqual(parse("T05thread:p01.02;"), {
    kind: "stopped",
    signal: 5,
    thread: { text: "p1.2", process: 1, thread: 2 },
    core: undefined,
    reason: undefined,
    expedited: new Map(),
  });
  const watch = parse("T05thread:p01.01;rwatch:fffffe0000000030;");
  assert.ok(watch?.kind === "stopped" && watch.reason?.kind === "rwatch");
  assert.equal(watch.reason.address, -0x1ffffffffd0);
  const hit = parse("T05swbreak:;06:10e7ffffff7f0000;10:60c0fcf7ff7f0000;thread:p577c.577d;core:1;");
  assert.ok(hit?.kind === "stopped");
  assert.deepEqual([hit.reason?.kind, hit.thread?.thread, hit.core], ["swbreak", 0x577d, 1]);
  assert.deepEqual(hit.expedited.get(0x10), Uint8Array.of(0x60, 0xc0, 0xfc, 0xf7, 0xff, 0x7f, 0, 0));
  const kgdb = parse("T05thread:fffffffe;");
  assert.ok(kgdb?.kind === "stopped" && kgdb.thread?.thread === 0xfffffffe);
  const fork = parse("T05fork:p3.3;thread:p2.2;");
  assert.ok(fork?.kind === "stopped" && fork.reason?.kind === "fork" && fork.reason.child.process === 3);
  const exec = parse("T05exec:2f62696e2f6c73;thread:p2.2;");
  assert.ok(exec?.kind === "stopped" && exec.reason?.kind === "exec" && exec.reason.path === "/bin/ls");
  assert.equal(parse("S05")?.kind, "stopped");
});

test("ends of processes and threads", () => {
  assert.deepEqual(parse("W03"), { kind: "exited", status: 3, process: undefined });
  assert.deepEqual(parse("W3;process:577c"), { kind: "exited", status: 3, process: 0x577c });
  assert.deepEqual(parse("X0b;process:2"), { kind: "killed", signal: 11, process: 2 });
  assert.deepEqual(parse("w0;p2.3"), {
    kind: "thread-exited",
    status: 0,
    thread: { text: "p2.3", process: 2, thread: 3 },
  });
  assert.deepEqual(parse("N"), { kind: "no-resumed" });
});

test("what is no stop reply is none, whatever it is", () => {
  for (const text of ["", "T", "T0", "Txx", "S", "S5", "S055", "W", "Wx", "w0", "w0;", "NN", "OK", "E01"])
    assert.equal(parse(text), undefined, text);
  for (const text of ["T05thread:zz;", "T05thread", "T05fork:;", "T05watch:xyz;", "T05exec:1;"])
    assert.equal(parse(text), undefined, text);
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii", maxLength: 60 }), (text) => {
      parse(text);
      parse(`T05${text}`);
    }),
    { numRuns: 2000 },
  );
});

test("a thread is one object however it is written; any and all are none", () => {
  const ids = new ThreadIds();
  const thread = ids.parse("p01.0A");
  assert.ok(thread !== undefined);
  assert.equal(ids.parse("p1.a"), thread);
  assert.equal(thread.text, "p1.a");
  assert.notEqual(ids.parse("a"), thread);
  for (const text of ["", "0", "-1", "p1", "p1.-1", "p1.0", "p-1.-1", "x", "1.2", "p1.1.1"])
    assert.equal(ids.parse(text), undefined, text);
  ids.forget(thread);
  assert.notEqual(ids.parse("p1.a"), thread);
});

/** As gdbserver has it: the form, and an include as QEMU has them. */
const DOCUMENTS: Readonly<Record<string, string>> = {
  "target.xml": `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">
    <target><architecture>i386:x86-64</architecture><osabi>GNU/Linux</osabi>
    <xi:include href="core.xml"/><xi:include href="linux.xml"/></target>`,
  "core.xml": `<?xml version="1.0"?><!-- Copyright --><!DOCTYPE feature SYSTEM "gdb-target.dtd">
    <feature name="org.gnu.gdb.i386.core"><flags id="x64_eflags" size="4"><field name="" start="22" end="31"/></flags>
    ${["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"].map((name) => `<reg name="${name}" bitsize="64" type="int64"/>`).join("")}
    <reg name="rip" bitsize="64" type="code_ptr" regnum="16"/><reg name="eflags" bitsize="32"/>
    <reg name="st0" bitsize="80" type="i387_ext"/></feature>`,
  "linux.xml": `<feature name="linux"><reg name="orig_rax" bitsize="64" type="int" regnum="57"/>
    <reg name="cr3" bitsize="64"/></feature>`,
};

const describe = (documents: Readonly<Record<string, string>>): RegisterLayout =>
  RegisterLayout.fromDescription(
    readDescription((name) => documents[name] ?? "", "the-stub"),
    "the-stub",
  );

test("registers are where the description says, in the order of their numbers", () => {
  const layout = describe(DOCUMENTS);
  assert.deepEqual(layout.find("rip"), { name: "rip", number: 16, offset: 64, size: 8 });
  assert.deepEqual(layout.find("orig_rax"), { name: "orig_rax", number: 57, offset: 86, size: 8 });
  assert.deepEqual(layout.find("cr3"), { name: "cr3", number: 58, offset: 94, size: 8 });
  assert.equal(layout.find("cr2"), undefined);
  assert.equal(layout.size, 102);
  const bytes = Uint8Array.from({ length: 102 }, (_, index) => index);
  const registers = new RegisterFile();
  assert.ok(layout.decode(bytes, bytes.length, registers));
  assert.equal(registers.read("rbx"), 0x0f0e0d0c0b0a0908n);
  assert.equal(registers.read("eflags"), 0x4b4a4948n);
  assert.equal(registers.read("r8"), 0n, "what the stub does not have is 0");
  assert.equal(layout.decode(bytes, 70, registers), false, "without the flags it is no thread");
});

test("what KGDB has, which does not describe itself", () => {
  const layout = RegisterLayout.plain();
  // arch/x86/kernel/kgdb.c: seventeen registers of eight bytes, seven of four.
  assert.equal(layout.size, 17 * 8 + 7 * 4);
  assert.deepEqual(layout.find("rip"), { name: "rip", number: 16, offset: 128, size: 8 });
  assert.deepEqual(layout.find("gs"), { name: "gs", number: 23, offset: 160, size: 4 });
});

for (const [what, documents, says] of [
  [
    "another architecture",
    { "target.xml": "<target><architecture>aarch64</architecture></target>" },
    /aarch64/,
  ],
  ["no XML", { "target.xml": "<target" }, /no XML/],
  ["nothing", {}, /no XML/],
  [
    "itself in itself",
    { "target.xml": '<target><xi:include href="target.xml"/></target>' },
    /include each other/,
  ],
  ["an include of nothing", { "target.xml": "<target><xi:include/></target>" }, /no href/],
  ["a register of no size", { "target.xml": '<target><reg name="rax"/></target>' }, /no size/],
  [
    "a register too wide",
    { "target.xml": '<target><reg name="rax" bitsize="99999999"/></target>' },
    /99999999/,
  ],
  [
    "a number too large",
    { "target.xml": '<target><reg name="a" bitsize="8" regnum="99999"/></target>' },
    /99999/,
  ],
  ["too few registers", { "target.xml": '<target><reg name="rax" bitsize="64"/></target>' }, /no rip/],
] as const) {
  test(`a description with ${what} is refused, and the sentence says why`, () => {
    assert.throws(
      () => describe(documents),
      (error) =>
        error instanceof TargetError && error.message.includes("the-stub: ") && says.test(error.message),
    );
  });
}

test("a description of the architecture alone gives the plain registers", () => {
  const layout = describe({ "target.xml": "<target><architecture>i386:x86-64</architecture></target>" });
  assert.equal(layout.size, RegisterLayout.plain().size);
});

test("registers that are not there at the moment are 0; half a digit is no answer", () => {
  const into = new Uint8Array(4);
  assert.equal(decodeRegisters(Buffer.from("01xx02xx"), 8, into), 4);
  assert.deepEqual(into, Uint8Array.of(1, 0, 2, 0));
  for (const text of ["0", "0x", "gg", "0102030405"])
    assert.equal(decodeRegisters(Buffer.from(text), text.length, into), -1, text);
});

test("a register that changed is known by its number, and no other", () => {
  const layout = RegisterLayout.plain();
  const bytes = new Uint8Array(layout.size);
  const registers = new RegisterFile();
  layout.decode(bytes, bytes.length, registers);
  registers.write("r9", 0x1122n);
  registers.write("eflags", 0x202n);
  const changed: { number: number }[] = [];
  layout.encode(registers, bytes, bytes.length, changed as never);
  assert.deepEqual(changed.map(({ number }) => number).sort(), [17, 9].sort());
  assert.deepEqual(bytes.subarray(72, 75), Uint8Array.of(0x22, 0x11, 0));
});

test("what a stub can do, and how long a packet may be", () => {
  const features = new Features("PacketSize=47ff;QNonStop+;qXfer:auxv:read+;tracenz?;vContSupported-;odd");
  assert.equal(features.packetSize, 0x47ff);
  assert.ok(features.has("QNonStop") && features.has("qXfer:auxv:read"));
  assert.ok(!features.has("tracenz") && !features.has("vContSupported") && !features.has("odd"));
  assert.equal(new Features("").packetSize, 400);
  assert.equal(new Features("PacketSize=1").packetSize, 64);
  assert.equal(new Features("PacketSize=ffffffff").packetSize, 2 ** 20);
  assert.equal(new Features("", 2000).packetSize, 2000);
});

test("signals have the protocol's numbers, not Linux's", () => {
  assert.deepEqual([11, 10, 5, 20, 30, 45, 77, 78, 150].map(linuxSignal), [
    11,
    7,
    5,
    17,
    10,
    33,
    32,
    64,
    undefined,
  ]);
});
