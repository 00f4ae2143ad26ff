// What compilers put at the beginning of functions, emulated, against the processor itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import { offsetBy } from "../../src/base/address.js";
import { withInstruction } from "../../src/arch/x86_64/decode.js";
import { emulateStraight } from "../../src/arch/x86_64/emulate-straight.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";
import { AT, RESUME_FLAG } from "./compare.js";
import {
  assemble,
  compiler,
  DATA,
  differences,
  ModelMemory,
  type Outcome,
  registerFile,
  type Run,
  runAll,
  STACK,
} from "./processor.js";

const REGISTERS = ["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r15"] as const;
const WIDTHS: readonly (readonly [string, string, string])[] = [
  ["rax", "rcx", "qword"],
  ["eax", "ecx", "dword"],
  ["r9w", "dx", "word"],
  ["ah", "r8b", "byte"],
  ["sil", "bh", "byte"],
];

const INSTRUCTIONS: readonly string[] = [
  ...[...REGISTERS, "rbx", "rbp", "rsp", "r9", "r10", "r11", "r12", "r13", "r14"].map(
    (each) => `push ${each}`,
  ),
  ...REGISTERS.map((each) => `mov ${each}, rbx`),
  ...["add", "sub", "cmp", "and", "or", "xor", "test"].flatMap((operation) =>
    WIDTHS.filter(([to, from]) => !(to === "ah" && from === "r8b") && !(to === "sil" && from === "bh"))
      .flatMap(([to, from, size]) => [
        `${operation} ${to}, ${from}`,
        `${operation} ${to}, ${to}`,
        `${operation} ${to}, 0x7f`,
        ...(operation === "test"
          ? [`test ${size} ptr [rbx], 0x41`]
          : [
              `${operation} ${to}, ${size} ptr [rbx + 8]`,
              ...(operation === "cmp" ? [`cmp ${size} ptr [rbx], 0x41`] : []),
            ]),
      ])
      .concat(
        operation === "test"
          ? []
          : [`${operation} rsp, 0x48`, `${operation} ch, dl`, `${operation} r13d, -1`],
      ),
  ),
  "cmp [rbx + 16], rdi",
  "cmp [rbx + 16], dl",
  "mov al, bh",
  "mov r8b, cl",
  "mov dx, 0x1234",
  "mov eax, 0xfffffe00",
  "mov rdx, 0x7fffffffffffffff",
  "mov rax, -5",
  "mov rax, [rbx + 8]",
  "mov eax, [rbx + 4*r9 + 3]",
  "mov cx, [rsi]",
  "mov dh, [rsi + 1]",
  "mov rcx, gs:[0x40]",
  "mov edx, fs:[rcx*8 + 8]",
  "movzx eax, byte ptr [rdi + 8]",
  "movzx edi, dil",
  "movzx r10, cx",
  "movzx ecx, bh",
  "movzx eax, word ptr [rsi + 2]",
  "movsxd rdi, edi",
  "movsxd rax, dword ptr [rbx + 0x10]",
  "movsx eax, byte ptr [rbx + 7]",
  "movsx rcx, r8w",
  "lea r10, [rsp + 8]",
  "lea eax, [rdx - 1]",
  "lea rax, [rip + 0x100]",
  "lea cx, [rbx + rcx*2 + 5]",
];

const STATES = [
  { flags: 0x202n, rax: 0x1234_5678_9abc_def0n, rcx: 5n, rdx: 0n },
  { flags: 0x202n | 0x8d5n, rax: 0n, rcx: 1n, rdx: 0x8000_0000_8000_8080n },
  { flags: 0x202n, rax: 0xffff_ffff_ffff_ffffn, rcx: 0xffff_ffff_ffff_ffffn, rdx: 0x7fffn },
  { flags: 0x202n | 0x401n, rax: 0x8000_0000_0000_0000n, rcx: 2n, rdx: 0x10n },
  { flags: 0x202n | 0x40n, rax: 0x7fff_ffff_7fff_7f7fn, rcx: 0xfn, rdx: 0xffn },
];

function initial(state: (typeof STATES)[number]): RegisterFile {
  return registerFile({
    rax: state.rax,
    rbx: BigInt(DATA + 0x400),
    rcx: state.rcx,
    rdx: state.rdx,
    rsi: BigInt(DATA + 0x200),
    rdi: BigInt(DATA + 0x600),
    rsp: BigInt(STACK + 0x800),
    rbp: BigInt(STACK + 0x900),
    r8: 0x8888_8888_8888n,
    r9: 0x40n,
    r10: 0x1010n,
    r11: 0x2bn,
    r12: 0xffff_0000_ffffn,
    r13: 0xffff_ffff_8000_0000n,
    r14: 0x1n,
    r15: 0x8000_0000_0000_1234n,
    eflags: state.flags,
    fs_base: BigInt(DATA),
    gs_base: BigInt(DATA),
    rip: BigInt(AT),
    cs: 0x33n,
  });
}

test(
  "what stands at the beginning of functions is emulated as the processor does it, flags and all",
  { skip: compiler === undefined ? "no C compiler" : false },
  (t) => {
    const encodings = assemble(INSTRUCTIONS);
    const runs: Run[] = [];
    const trials: { name: string; bytes: Uint8Array; state: (typeof STATES)[number] }[] = [];
    encodings.forEach((bytes, index) => {
      for (const state of STATES) {
        runs.push({ codeAt: AT, code: bytes, registers: initial(state) });
        trials.push({ name: `${INSTRUCTIONS[index] ?? ""}, rax ${state.rax.toString(16)}`, bytes, state });
      }
    });
    const outcomes = runAll(runs);
    let refused = 0;
    trials.forEach(({ name, bytes, state }, index) => {
      const next = offsetBy(AT, bytes.length);
      const emulate = withInstruction(bytes, AT, (instruction) =>
        emulateStraight(instruction, next, () => true),
      );
      assert.ok(emulate !== undefined, `${name}: not emulated`);
      const outcome = outcomes[index] as Outcome;
      const registers = initial(state);
      const memory = new ModelMemory();
      if (emulate(registers, memory) !== "done") {
        // The processor could not access it either.
        refused++;
        assert.equal(outcome.registers.pc, AT, `${name}: refused`);
        return;
      }
      const expected = new RegisterFile();
      expected.bytes.set(outcome.registers.bytes);
      expected.pc = offsetBy(expected.pc, -1) === next ? next : expected.pc;
      for (const each of ["cs", "ss", "ds", "es", "fs", "gs", "orig_rax"] as const)
        registers.write(each, expected.read(each));
      registers.write("eflags", registers.read("eflags") | (expected.read("eflags") & RESUME_FLAG));
      assert.equal(differences(expected, registers), "", `${name}: registers, processor / emulated`);
      assert.deepEqual(memory.bytes, outcome.memory, `${name}: memory`);
    });
    t.diagnostic(`${String(trials.length)} runs, ${String(refused)} refused`);
    assert.ok(trials.length > 500 && refused < 60);
  },
);

test("memory of a user is left to the processor, and so is what is locked or written", () => {
  const emulation = (text: string): unknown =>
    withInstruction(assemble([text])[0] as Uint8Array, AT, (instruction) => emulateStraight(instruction, AT));
  for (const text of [
    "mov [rdi], rax",
    "lock add [rdi], eax",
    "add [rdi], eax",
    "mov rax, cr3",
    "mov ds, eax",
    "pop rax",
  ])
    assert.equal(emulation(text), undefined, text);
  const load = withInstruction(assemble(["mov rax, [rbx]"])[0] as Uint8Array, AT, (instruction) =>
    emulateStraight(instruction, offsetBy(AT, 3)),
  );
  const registers = initial(STATES[0] as (typeof STATES)[number]);
  assert.equal(load?.(registers, new ModelMemory()), "memory");
  assert.equal(registers.pc, AT);
});
