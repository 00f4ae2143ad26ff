import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, offsetBy } from "../../src/base/address.js";
import { MemoryFault } from "../../src/base/errors.js";
import { type Displacement, planDisplacement, REFUSALS } from "../../src/arch/x86_64/displaced.js";
import { exceptionNames } from "../../src/arch/x86_64/exceptions.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";
import { type SlotCode, slotPoint } from "../../src/arch/x86_64/slot.js";

const AT = 0x40_1000 as Address;
const SLOT = 0x50_0000 as Address;

function planned(hex: string, at = AT): Displacement {
  return planDisplacement(Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex")), at);
}

function accepted(hex: string, at = AT): Exclude<Displacement, { kind: "refused" }> {
  const plan = planned(hex, at);
  assert.ok(plan.kind !== "refused", hex);
  return plan;
}

function slotOf(hex: string, stopAfter: boolean, at = AT, slot = SLOT): SlotCode {
  const code = accepted(hex, at).buildSlot(slot, { stopAfter });
  assert.ok(code.kind === "slot");
  return code;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

const noMemory = {
  read(at: Address): never {
    throw new MemoryFault(BigInt(at), "read", "unmapped");
  },
  write(at: Address): never {
    throw new MemoryFault(BigInt(at), "write", "unmapped");
  },
};

const REFUSED: readonly (readonly [hex: string, reason: keyof typeof REFUSALS, what: string])[] = [
  ["06", "does-not-decode", "push es, gone in 64-bit mode"],
  ["62 00 00 00 00 00", "does-not-decode", "a bad EVEX prefix"],
  ["48 8b 05 00 00", "truncated", "the end of a mov"],
  ["", "truncated", "nothing at all"],
  ["0f", "truncated", "half an opcode"],
  ["ff 18", "far-call", "call far [rax]"],
  ["66 e8 00 00 00 00", "vendor-dependent-branch", "call with a 16-bit operand"],
  ["66 c3", "vendor-dependent-branch", "ret with a 16-bit operand"],
  ["66 eb 10", "vendor-dependent-branch", "jmp with a 16-bit operand"],
  ["66 48 66 0f 84 00 00 00 00", "vendor-dependent-branch", "a REX prefix that does not count"],
  ["0f 01 d7", "enclu", "enclu"],
];

for (const [hex, reason, what] of REFUSED)
  void test(`refused as ${reason}: ${what}`, () => {
    const plan = planned(hex);
    assert.ok(plan.kind === "refused");
    assert.equal(plan.reason, reason);
    assert.equal(plan.detail, REFUSALS[reason]);
  });

void test("a branch out of the canonical addresses is refused", () => {
  const plan = planned("e9 ff ff ff 7f", 0x7fff_ffff_f000 as Address);
  assert.ok(plan.kind === "refused" && plan.reason === "branch-out-of-address-space");
});

void test("every reason to refuse has a test", () => {
  const tested = new Set<string>([...REFUSED.map(([, reason]) => reason), "branch-out-of-address-space"]);
  assert.deepEqual([...tested].sort(), Object.keys(REFUSALS).sort());
});

void test("a relative operand out of reach of the slot is told with the address to be near to", () => {
  const code = accepted("48 8b 05 00 01 00 00").buildSlot(0x7fff_0000_0000 as Address, { stopAfter: false });
  assert.deepEqual(code, { kind: "out-of-reach", near: 0x40_1107 });
});

void test("syscall: rcx is put right in the slot, and each program counter there is explained", () => {
  const code = slotOf("0f 05", false);
  assert.equal(text(code.bytes).slice(0, 24), "0f0548b9" + "0210400000000000");
  assert.deepEqual(slotPoint(code, 0), { kind: "before", offset: 0, at: AT });
  const returned = slotPoint(code, 2);
  assert.ok(returned?.kind === "unfinished");
  const registers = new RegisterFile();
  registers.write("rcx", BigInt(SLOT + 2));
  registers.pc = offsetBy(SLOT, 2);
  returned.finish(registers, noMemory);
  assert.equal(registers.pc, AT + 2);
  assert.equal(registers.read("rcx"), BigInt(AT + 2));
  assert.deepEqual(slotPoint(code, 12), { kind: "after", offset: 12, at: AT + 2 });
  assert.deepEqual(code.stops, []);
});

void test("syscall with prefixes: a restart goes back by two bytes, into the instruction, as it does bare", () => {
  const code = slotOf("48 0f 05", false);
  assert.deepEqual(slotPoint(code, 1), { kind: "before", offset: 1, at: AT + 1 });
});

void test("a stop behind the instruction is one of the slot's points", () => {
  const code = slotOf("48 89 c3", true);
  assert.deepEqual(code.stops, [4]);
  assert.deepEqual(slotPoint(code, 4), { kind: "after", offset: 4, at: AT + 3 });
  assert.equal(text(code.bytes), "4889c3cc");
});

void test("both ways of a conditional jump stop", () => {
  const code = slotOf("74 10", true);
  assert.deepEqual(
    code.stops.map((stop) => slotPoint(code, stop)),
    [
      { kind: "after", offset: 3, at: AT + 2 },
      { kind: "after", offset: 5, at: AT + 0x12 },
    ],
  );
});

void test("the program's own int3 is not one of our stops", () => {
  const code = slotOf("cc", true);
  assert.deepEqual(code.stops, [2]);
  assert.deepEqual(slotPoint(code, 1), { kind: "after", offset: 1, at: AT + 1 });
});

void test("ret and indirect jumps are copied, and emulated only for a stop behind them", () => {
  for (const hex of ["c3", "c2 08 00", "ff e0", "ff 25 00 00 00 00"]) {
    const plan = accepted(hex);
    assert.ok(plan.kind === "copy" && plan.after.by === "emulation", hex);
    assert.ok(plan.facts.endsFlow);
  }
});

void test("iret, far ret and far jmp have no post phase, by name", () => {
  for (const hex of ["48 cf", "cb", "ff 28"]) {
    const plan = accepted(hex);
    assert.ok(plan.kind === "copy" && plan.after.by === "nothing", hex);
    assert.equal(plan.after.reason, "returns-elsewhere");
  }
});

void test("an emulation that faults has changed nothing", () => {
  for (const hex of ["e8 00 01 00 00", "ff d0", "ff 10", "c3"]) {
    const plan = accepted(hex);
    const emulate =
      plan.kind === "emulate" ? plan.emulate : plan.after.by === "emulation" ? plan.after.emulate : undefined;
    assert.ok(emulate);
    const registers = new RegisterFile();
    registers.write("rsp", 0x7fff_0000n);
    registers.pc = AT;
    const before = registers.bytes.slice();
    assert.equal(emulate(registers, noMemory), "memory", hex);
    assert.deepEqual(registers.bytes, before, hex);
  }
});

void test("a program that steps itself is stepped by the processor, not emulated", () => {
  const plan = accepted("90");
  assert.ok(plan.kind === "emulate");
  const registers = new RegisterFile();
  registers.write("eflags", 0x302n);
  assert.equal(plan.emulate(registers, noMemory), "trap-flag");
});

void test("a push across the end of a page is left to the processor: ours might be half done", () => {
  const plan = accepted("e8 00 01 00 00");
  assert.ok(plan.kind === "emulate");
  const registers = new RegisterFile();
  registers.write("rsp", 0x7fff_0004n);
  const memory = { read: (): void => undefined, write: (): void => assert.fail("written") };
  assert.equal(plan.emulate(registers, memory), "memory");
});

void test("kernel addresses: a call in the upper half is emulated and copied", () => {
  const at = -0x7f00_0000 as Address; // 0xffffffff81000000
  const plan = accepted("e8 fb 00 00 00", at);
  assert.ok(plan.kind === "emulate");
  const registers = new RegisterFile();
  registers.write("rsp", 0xffff_c900_0000_1000n);
  let pushed = "";
  const outcome = plan.emulate(registers, {
    read: () => assert.fail("read"),
    write: (to, bytes) => (pushed = `${BigInt.asUintN(64, BigInt(to)).toString(16)}: ${text(bytes)}`),
  });
  assert.equal(outcome, "done");
  assert.equal(pushed, "ffffc90000000ff8: 05000081ffffffff");
  assert.equal(registers.read("rip"), 0xffff_ffff_8100_0100n);
  assert.equal(registers.read("rsp"), 0xffff_c900_0000_0ff8n);
  const code = slotOf("48 8b 05 f9 00 00 00", false, at, offsetBy(at, 0x1000_0000));
  assert.equal(text(code.bytes), "488b05f90000f0e9fbffffef");
});

const FACTS: readonly (readonly [hex: string, facts: Partial<Record<string, unknown>>])[] = [
  ["0f 05", { mnemonic: "syscall", flow: "system-call", isSystemCall: true, endsFlow: false }],
  ["cd 80", { mnemonic: "int", isSystemCall: true }],
  ["cd 21", { mnemonic: "int", isSystemCall: false, flow: "exception" }],
  ["f3 a4", { mnemonic: "movsb", isRepString: true, writesFlags: false }],
  ["a4", { mnemonic: "movsb", isRepString: false }],
  ["f2 ae", { mnemonic: "scasb", isRepString: true, writesFlags: true }],
  ["0f 0b", { mnemonic: "ud2", endsFlow: true, flow: "exception" }],
  ["8e d0", { mnemonic: "mov", shadowsNext: true }],
  ["8e d8", { mnemonic: "mov", shadowsNext: false }],
  ["9d", { mnemonic: "popfq", maySetTrapFlag: true, writesFlags: true }],
  ["d9 eb", { mnemonic: "fldpi", leavesItsAddress: true }],
  ["d9 38", { mnemonic: "fnstcw", leavesItsAddress: false }],
  ["e8 00 00 00 00", { mnemonic: "call", flow: "call", endsFlow: false }],
  ["c3", { mnemonic: "ret", flow: "return", endsFlow: true }],
  ["0f 01 c1", { mnemonic: "vmcall", flow: "next" }],
  ["c5 f5 fe c2", { mnemonic: "vpaddd", flow: "next" }],
];

void test("facts of instructions", () => {
  for (const [hex, facts] of FACTS) {
    const found: Record<string, unknown> = { ...accepted(hex).facts };
    for (const [name, value] of Object.entries(facts)) assert.equal(found[name], value, `${hex}: ${name}`);
  }
});

void test("what an instruction can raise", () => {
  const raises = (hex: string): readonly string[] => exceptionNames(accepted(hex).facts.raises);
  assert.deepEqual(raises("48 01 d8"), []); // add rax,rbx
  assert.deepEqual(raises("48 01 03"), ["#SS", "#GP", "#PF", "#AC"]); // add [rbx],rax
  assert.deepEqual(raises("48 8d 03"), []); // lea rax,[rbx]
  assert.deepEqual(raises("0f 1f 00"), []); // nop [rax]
  assert.ok(raises("48 f7 f1").includes("#DE")); // div rcx
  assert.ok(raises("50").includes("#PF")); // push rax
  assert.deepEqual(raises("cc"), ["#BP"]);
  assert.ok(raises("f4").includes("#GP")); // hlt
});
