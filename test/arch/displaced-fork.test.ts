import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/base/address.js";
import { planDisplacement } from "../../src/arch/x86_64/displaced.js";
import type { RegisterFile } from "../../src/arch/x86_64/registers.js";
import { AT } from "./compare.js";
import {
  compiler,
  DATA,
  differences,
  NEAR_SLOT,
  type Outcome,
  registerFile,
  type Run,
  runAll,
  STACK,
} from "./processor.js";

const SYSCALL = Uint8Array.of(0x0f, 0x05);
const INT_80 = Uint8Array.of(0xcd, 0x80);
const SIGCHLD = 17n;

/** Linux arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl. */
const CREATE: readonly (readonly [what: string, code: Uint8Array, number: bigint])[] = [
  ["fork", SYSCALL, 57n],
  ["vfork", SYSCALL, 58n],
  ["clone", SYSCALL, 56n],
  ["fork by int 0x80", INT_80, 2n],
];

for (const [what, code, number] of CREATE)
  void test(
    `${what} in a slot: the new process never sees the slot, and goes on where it would have`,
    { skip: compiler === undefined ? "no C compiler" : false },
    () => {
      const registers = (pc: Address): RegisterFile =>
        registerFile({
          rax: number,
          rdi: what === "clone" ? SIGCHLD : 0n,
          rcx: 7n,
          rsp: BigInt(STACK + 0x800),
          fs_base: BigInt(DATA),
          eflags: 0x202n,
          rip: BigInt(pc),
        });
      const plan = planDisplacement(code, AT);
      assert.ok(plan.kind === "copy");
      const slot = plan.buildSlot(NEAR_SLOT, { stopAfter: false });
      assert.ok(slot.kind === "slot");
      const runs: Run[] = [
        { codeAt: AT, code, registers: registers(AT) },
        { codeAt: NEAR_SLOT, code: slot.bytes, registers: registers(NEAR_SLOT) },
      ];
      const [bare, displaced] = runAll(runs) as [Outcome, Outcome];
      assert.equal(bare.newProcess.pc, AT + code.length + 1, "the bare one came to the int3 behind");
      assert.equal(differences(bare.newProcess, displaced.newProcess), "");
      for (const { registers: parent } of [bare, displaced]) {
        assert.ok(parent.read("rax") > 0n, "a process was made");
        parent.write("rax", 0n);
      }
      assert.equal(differences(bare.registers, displaced.registers), "");
    },
  );
