import assert from "node:assert/strict";
import { test } from "node:test";
import { withInstruction } from "../../../../src/arch/x86_64/decode.js";
import { instructionFacts } from "../../../../src/arch/x86_64/instruction-facts.js";
import { type Address, toBigInt } from "../../../../src/base/address.js";
import { ProbeRefused } from "../../../../src/base/errors.js";
import type { Vaddr } from "../../../../src/symbols/vaddr.js";
import type { Arrival } from "../../../../src/targets/gdb/kernel/carrier.js";
import { Focus } from "../../../../src/targets/gdb/kernel/focus.js";
import { KgdbMachine } from "../../../../src/targets/gdb/kernel/kgdb/kgdb-machine.js";
import { rewindFromLeft } from "../../../../src/targets/gdb/kernel/kgdb/left.js";
import { shadowThreads } from "../../../../src/targets/gdb/kernel/kgdb/processors.js";
import { StubBreakpoints } from "../../../../src/targets/gdb/kernel/kgdb/stub-breakpoints.js";
import { GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import type { ThreadId } from "../../../../src/targets/target.js";
import { type Happening, ModelKgdb } from "./model-kgdb.js";

const FUNCTION = -0x7ee9_7410 as Address;
const PULSE = -0x7ef5_24c0 as Address;
const SYMBOLS: Readonly<Record<string, number>> = {
  second_overflow: PULSE,
  kgdb_active: -0x7e00_0000,
  masters_in_kgdb: -0x7e00_0010,
  __per_cpu_offset: -0x7e00_0100,
};
const IMAGE = {
  path: "vmlinux",
  symbol: (name: string) => SYMBOLS[name] as Vaddr | undefined,
  symbolAt: () => undefined,
  fixup: () => undefined,
};
const PUSH = withInstruction(Uint8Array.of(0x55), FUNCTION, instructionFacts);
const THREAD = 0x10001 as ThreadId;
const INTERRUPTS = 0x200n;

const at = (name: string): bigint => BigInt.asUintN(64, BigInt(SYMBOLS[name] ?? 0));
const z = (kind: "Z" | "z", address: Address): string =>
  `${kind}0,${BigInt.asUintN(64, toBigInt(address)).toString(16)},1`;
const behind = (address: Address): bigint => BigInt.asUintN(64, toBigInt(address) + 1n);

/** A kernel that stands in KGDB, a breakpoint on one function, and what becomes of it. */
function standing(threads = "fffffffe") {
  const stub = new ModelKgdb(at("kgdb_active"), threads);
  for (let index = 0; index < 2048; index++)
    stub.put(BigInt.asUintN(64, toBigInt(FUNCTION)) + BigInt(index), 0x55);
  for (let index = 0; index < 32; index++)
    stub.put(BigInt.asUintN(64, toBigInt(PULSE)) + BigInt(index), 0x55);
  stub.put(at("kgdb_active"), 0, 0, 0, 0);
  stub.put(at("masters_in_kgdb"), 1, 0, 0, 0);
  for (let processor = 0; processor < 2; processor++)
    stub.put(
      at("__per_cpu_offset") + BigInt(8 * processor),
      0,
      0,
      0,
      0x3e + processor,
      0x80,
      0x88,
      0xff,
      0xff,
    );
  const client = GdbClient.over(stub);
  const found = shadowThreads(client);
  assert.ok(found !== undefined);
  client.stopReason();
  const machine = new KgdbMachine(client, found);
  const arrived: Arrival[] = [];
  const executed: ThreadId[] = [];
  const carrier = new StubBreakpoints(machine, new Focus(machine), IMAGE, 0, () => undefined, {
    arrive: (arrival) => void arrived.push(arrival),
    executed: (thread) => void executed.push(thread),
  });
  machine.onStop = (reply) => {
    if (reply.kind === "stopped") carrier.interpret(reply);
  };
  carrier.insert(FUNCTION);
  stub.told.length = 0;
  /** Lets the kernel go on until the next stop, and all that is done about it is done. */
  const goOn = (happening: Happening): void => {
    stub.happenings.push(happening);
    machine.go();
    machine.stand();
  };
  return { stub, client, machine, carrier, arrived, executed, goOn };
}

test("a stop behind a breakpoint of KGDB's is a hit, and its instruction is stepped with interrupts held back", () => {
  const { stub, machine, carrier, arrived, executed, goOn } = standing();
  goOn({ stop: "T05thread:2a;", rip: behind(FUNCTION), flags: 0x246n });
  const [arrival] = arrived;
  assert.ok(arrival !== undefined && arrived.length === 1);
  assert.equal(arrival.at, FUNCTION);
  const { vcpu } = arrival.standing;
  assert.equal(vcpu.wanted.pc, FUNCTION + 1);
  vcpu.wanted.pc = FUNCTION;
  stub.told.length = 0;
  assert.deepEqual(carrier.execute(THREAD, vcpu, PUSH), { kind: "begun" });
  assert.equal((stub.registers[17] ?? 0n) & INTERRUPTS, 0n);
  machine.stand();
  assert.deepEqual(executed, [THREAD]);
  assert.deepEqual(
    stub.told.filter((packet) => /^[zZsc]/.test(packet)),
    [z("z", FUNCTION), "s", z("Z", FUNCTION)],
  );
  // As it would be without us: behind the instruction, interrupts on, no trap flag.
  assert.equal(vcpu.wanted.pc, FUNCTION + 1);
  assert.equal(vcpu.wanted.read("eflags"), 0x246n);
});

test("which of several processors has stopped is read in the kernel, and where its variables are", () => {
  const { arrived, goOn } = standing("fffffffe,fffffffd");
  goOn({ stop: "T05thread:2a;", rip: behind(FUNCTION), processor: 1 });
  goOn({ stop: "T05thread:fffffffe;", rip: behind(FUNCTION), processor: 0 });
  assert.deepEqual(
    arrived.map(({ standing: { vcpu } }) => [vcpu.index, vcpu.wanted.read("gs_base")]),
    [
      [1, 0xffff88803f000000n],
      [0, 0xffff88803e000000n],
    ],
  );
});

test("a kernel that is to stop is heard at its pulse, which nobody is told of", () => {
  const { stub, machine, arrived, executed, goOn } = standing();
  goOn({ stop: "T05thread:fffffffe;", rip: behind(PULSE), flags: 0x46n });
  assert.equal(machine.isRunning, false);
  assert.deepEqual([arrived.length, executed.length], [0, 0]);
  assert.deepEqual(
    stub.told.filter((packet) => /^[zZsc]/.test(packet)),
    ["c", z("z", PULSE), "s", z("Z", PULSE)],
  );
});

test("an oops is passed on to the kernel, and a breakpoint of its own goes on", () => {
  const { stub, machine, arrived, goOn } = standing();
  goOn({ stop: "T0bthread:2a;", rip: 0x1234n });
  goOn({ stop: "T05thread:2a;", rip: 0x1234n });
  machine.go();
  assert.deepEqual(
    stub.told.filter((packet) => /^[cC]/.test(packet)),
    ["c", "C09", "c"],
  );
  assert.equal(arrived.length, 0);
});

test("more places than KGDB holds are refused with the figure, and one that was left keeps its place", () => {
  const { carrier } = standing();
  const place = (index: number): Address => (FUNCTION + index) as Address;
  // Its first function, and the pulse.
  for (let index = 1; index < 999; index++) carrier.insert(place(index));
  const refused = (error: unknown): boolean =>
    error instanceof ProbeRefused &&
    error.reason === "too-many" &&
    error.message.includes("KGDB holds 1,000 breakpoints");
  assert.throws(() => {
    carrier.insert(place(999));
  }, refused);
  carrier.remove(place(7));
  assert.throws(() => {
    carrier.insert(place(999));
  }, refused);
  carrier.insert(place(7));
});

test("whoever leaves takes every breakpoint out, and waits for a processor that has met one already", () => {
  const { stub, carrier, goOn } = standing("fffffffe,fffffffd");
  goOn({ stop: "T05thread:2a;", rip: behind(FUNCTION) });
  stub.put(at("masters_in_kgdb"), 2, 0, 0, 0);
  stub.happenings.push({ stop: "T05thread:fffffffd;", rip: behind(PULSE), processor: 1 });
  const last = stub.happenings.length;
  stub.told.length = 0;
  const { memory } = stub;
  const original = stub.happenings.shift.bind(stub.happenings);
  stub.happenings.shift = () => {
    memory.set(at("masters_in_kgdb"), 1);
    return original();
  };
  carrier.leave([], () => assert.fail("the machine has not ended"));
  assert.equal(last, 1);
  assert.deepEqual([...stub.breakpoints], []);
  assert.equal(stub.told.filter((packet) => packet.startsWith("c")).length, 1);
  assert.equal(stub.told.at(-1), "D");
});

test("a handler that changes the stack pointer is told that KGDB does not", () => {
  const { machine, arrived, goOn } = standing();
  goOn({ stop: "T05thread:2a;", rip: behind(FUNCTION) });
  const vcpu = arrived[0]?.standing.vcpu;
  assert.ok(vcpu !== undefined);
  vcpu.wanted.sp = (vcpu.wanted.sp - 8) as Address;
  assert.throws(() => {
    machine.go();
  }, /KGDB does not change a stack pointer/);
});

test("a kernel that stands at a breakpoint of a killed tracer goes on with the instruction itself", () => {
  const { stub, client } = standing();
  stub.registers[16] = behind(FUNCTION);
  rewindFromLeft(client);
  assert.equal(stub.registers[16], BigInt.asUintN(64, toBigInt(FUNCTION)));
  // Nothing is there now: it is left where it is.
  rewindFromLeft(client);
  assert.equal(stub.registers[16], BigInt.asUintN(64, toBigInt(FUNCTION)));
});
