import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, Decoder, DecoderOptions, Formatter, FormatterSyntax, Register } from "iced-x86";
import type { Address } from "../../src/base/address.js";
import {
  type Assembler,
  assembleAt,
  GENERAL_REGISTERS,
  type General,
  type MemoryOperand,
} from "../../src/arch/x86_64/assembler.js";

const START = 0x10_0000 as Address;

/** What the code says, as a decoder that is not ours reads it. */
function decoded(body: (a: Assembler) => void, start = START): string[] {
  const { bytes } = assembleAt(start, body);
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  decoder.ip = BigInt(start);
  const formatter = new Formatter(FormatterSyntax.Nasm);
  formatter.spaceAfterOperandSeparator = true;
  formatter.ripRelativeAddresses = false;
  formatter.hexPrefix = "0x";
  formatter.hexSuffix = "";
  formatter.uppercaseHex = false;
  formatter.branchLeadingZeros = false;
  const lines: string[] = [];
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    assert.equal(instruction.isInvalid, false, Buffer.from(bytes).toString("hex"));
    lines.push(formatter.format(instruction));
    instruction.free();
  }
  formatter.free();
  decoder.free();
  return lines;
}

function one(body: (a: Assembler) => void): string {
  const lines = decoded(body);
  assert.equal(lines.length, 1, lines.join("; "));
  return lines[0] ?? "";
}

type Form = readonly [emit: (a: Assembler) => void, text: string];

/** `eax`, `r8d`; `al`, `sil`, `r8b`. */
const half = (name: General): string => (/^r\d/.test(name) ? `${name}d` : `e${name.slice(1)}`);
const low = (name: General): string => {
  if (/^r\d/.test(name)) return `${name}b`;
  return name.endsWith("x") ? `${name.slice(1, 2)}l` : `${name.slice(1)}l`;
};
const word = (name: General): string => (/^r\d/.test(name) ? `${name}w` : name.slice(1));

test("each form, on each register, is what a decoder that is not ours reads", () => {
  for (const r of GENERAL_REGISTERS) {
    for (const s of GENERAL_REGISTERS) {
      const pairs: readonly Form[] = [
        [(a) => a.move(r, s), `mov ${r}, ${s}`],
        ...(["add", "or", "and", "sub", "xor", "cmp"] as const).map((name): Form => [
          (a) => a.arithmetic(name, r, s),
          `${name} ${r}, ${s}`,
        ]),
        [(a) => a.multiply(r, s), `imul ${r}, ${s}`],
        // The decoder's way to write an operand that is both.
        [(a) => a.multiplyConstant(r, s, 1000), r === s ? `imul ${r}, 0x3e8` : `imul ${r}, ${s}, 0x3e8`],
        [(a) => a.highestBit(r, s), `bsr ${r}, ${s}`],
        [(a) => a.test(r, s), `test ${r}, ${s}`],
        [(a) => a.extend(r, s, 1, false), `movzx ${half(r)}, ${low(s)}`],
        [(a) => a.extend(r, s, 1, true), `movsx ${r}, ${low(s)}`],
        [(a) => a.extend(r, s, 2, false), `movzx ${half(r)}, ${word(s)}`],
        [(a) => a.extend(r, s, 2, true), `movsx ${r}, ${word(s)}`],
        [(a) => a.extend(r, s, 4, false), `mov ${half(r)}, ${half(s)}`],
        [(a) => a.extend(r, s, 4, true), `movsxd ${r}, ${half(s)}`],
        [(a) => a.extend(r, s, 8, true), `mov ${r}, ${s}`],
      ];
      for (const [body, text] of pairs) assert.equal(one(body), text);
    }
    const forms: readonly Form[] = [
      [(a) => a.push(r), `push ${r}`],
      [(a) => a.pop(r), `pop ${r}`],
      [(a) => a.moveConstant(r, 0n), `mov ${half(r)}, 0`],
      [(a) => a.moveConstant(r, 0xffff_ffffn), `mov ${half(r)}, 0xffffffff`],
      [(a) => a.moveConstant(r, -2n), `mov ${r}, 0xfffffffffffffffe`],
      [(a) => a.arithmeticConstant("add", r, 127), `add ${r}, 0x7f`],
      [(a) => a.arithmeticConstant("cmp", r, 128), `cmp ${r}, 0x80`],
      [(a) => a.arithmeticConstant("and", r, -2), `and ${r}, 0xfffffffffffffffe`],
      [(a) => a.increment(r), `inc ${r}`],
      [(a) => a.decrement(r), `dec ${r}`],
      [(a) => a.unary("not", r), `not ${r}`],
      [(a) => a.unary("neg", r), `neg ${r}`],
      [(a) => a.unary("div", r), `div ${r}`],
      [(a) => a.unary("idiv", r), `idiv ${r}`],
      [(a) => a.shift("shl", r, 3), `shl ${r}, 3`],
      [(a) => a.shift("sar", r, 1), `sar ${r}, 1`],
      [(a) => a.shiftByCl("shr", r), `shr ${r}, cl`],
      [(a) => a.setByte("less", r), `setl ${low(r)}`],
      [(a) => a.setByte("overflow", r), `seto ${low(r)}`],
    ];
    for (const [body, text] of forms) assert.equal(one(body), text);
    for (const value of [0x1_0000_0000n, 0x1234_5678_9abc_def0n, -(2n ** 63n), 2n ** 63n - 1n]) {
      const { bytes } = assembleAt(START, (a) => a.moveConstant(r, value));
      const instruction = new Decoder(64, bytes, DecoderOptions.None).decode();
      assert.equal(Code[instruction.code], "Mov_r64_imm64");
      assert.equal(BigInt.asIntN(64, instruction.immediate64), value);
      assert.equal(Register[instruction.op0Register], r.toUpperCase());
    }
  }
});

test("memory operands: each base and index, each size of displacement, relative to the instruction", () => {
  const sign = (value: number): string =>
    value === 0
      ? ""
      : `${value < 0 ? "-" : "+"}${Math.abs(value) < 10 ? String(Math.abs(value)) : `0x${Math.abs(value).toString(16)}`}`;
  for (const r of GENERAL_REGISTERS)
    for (const base of GENERAL_REGISTERS)
      for (const displacement of [0, 8, -128, 127, 128, -129, 0x7fff_ffff]) {
        const text = `[${base}${sign(displacement)}]`;
        assert.equal(
          one((a) => a.move(r, { base, displacement })),
          `mov ${r}, ${text}`,
        );
        assert.equal(
          one((a) => a.store({ base, displacement }, r)),
          `mov ${text}, ${r}`,
        );
        assert.equal(
          one((a) => a.extend(r, { base, displacement }, 1, true)),
          `movsx ${r}, byte ${text}`,
        );
      }
  for (const base of GENERAL_REGISTERS)
    for (const index of GENERAL_REGISTERS.filter((each) => each !== "rsp"))
      for (const scale of [1, 2, 4, 8] as const) {
        const text = scale === 1 ? `[${base}+${index}]` : `[${base}+${index}*${scale}]`;
        assert.equal(
          one((a) => a.increment({ base, index, scale }, true)),
          `lock inc qword ${text}`,
        );
      }
  const near: MemoryOperand = { at: 0x12_3456 as Address };
  const forms: readonly Form[] = [
    [(a) => a.move("r9", near), "mov r9, [rel 0x123456]"],
    [(a) => a.store(near, "r9"), "mov [rel 0x123456], r9"],
    [(a) => a.storeConstant(near, -1), "mov qword [rel 0x123456], 0xffffffffffffffff"],
    [(a) => a.storeConstant32(near, 7), "mov dword [rel 0x123456], 7"],
    [(a) => a.increment(near, true), "lock inc qword [rel 0x123456]"],
    [(a) => a.decrement(near), "dec qword [rel 0x123456]"],
    [(a) => a.arithmeticConstant("add", near, 100, true), "lock add qword [rel 0x123456], 0x64"],
    [(a) => a.arithmeticConstant("cmp", near, 1000), "cmp qword [rel 0x123456], 0x3e8"],
    [(a) => a.arithmeticMemory("sub", near, "r10", true), "lock sub [rel 0x123456], r10"],
    [(a) => a.arithmetic("add", "rbx", near), "add rbx, [rel 0x123456]"],
    [(a) => a.testByte(near, 4), "test byte [rel 0x123456], 4"],
    [(a) => a.multiply("rcx", near), "imul rcx, [rel 0x123456]"],
    [(a) => a.multiplyConstant("rcx", near, 3), "imul rcx, [rel 0x123456], 3"],
    [(a) => a.unary("idiv", near), "idiv qword [rel 0x123456]"],
    [(a) => a.loadEffective("rdi", near), "lea rdi, [rel 0x123456]"],
    [(a) => a.lockedExchangeAdd(near, "r8"), "lock xadd [rel 0x123456], r8"],
    [(a) => a.lockedCompareExchange(near, "rsp"), "lock cmpxchg [rel 0x123456], rsp"],
    [(a) => a.pushFlags(), "pushf"],
    [(a) => a.popFlags(), "popf"],
    [(a) => a.flagsToAh(), "lahf"],
    [(a) => a.ahToFlags(), "sahf"],
    [(a) => a.addToAl(0x7f), "add al, 0x7f"],
    [(a) => a.andAl(8), "and al, 8"],
    [(a) => a.swapAx(), "rol ax, 8"],
    [(a) => a.pause(), "pause"],
    [(a) => a.signIntoRdx(), "cqo"],
  ];
  for (const [body, text] of forms) assert.equal(one(body), text);
  assert.throws(() => one((a) => a.move("rax", { at: 0x9000_0000 as Address })), /out of reach/);
});

test("branches are as short as they can be, forwards and backwards", () => {
  const pad = (a: Assembler, count: number): void => {
    a.bytes(new Uint8Array(count).fill(0x90));
  };
  const forward = (distance: number) => (a: Assembler) => {
    const there = a.label();
    a.jumpIf("equal", there);
    pad(a, distance);
    a.bind(there);
  };
  assert.equal(assembleAt(START, forward(127)).bytes.length, 2 + 127);
  assert.equal(assembleAt(START, forward(128)).bytes.length, 6 + 128);
  assert.equal(decoded(forward(127))[0], `je short 0x${(START + 129).toString(16)}`);
  assert.equal(decoded(forward(128))[0], `je near 0x${(START + 134).toString(16)}`);
  const backward = (distance: number) => (a: Assembler) => {
    const there = a.label();
    a.bind(there);
    pad(a, distance);
    a.jump(there);
  };
  assert.equal(decoded(backward(126)).at(-1), `jmp short 0x${START.toString(16)}`);
  assert.equal(decoded(backward(127)).at(-1), `jmp 0x${START.toString(16)}`);
  assert.throws(() => assembleAt(START, (a) => a.jump(a.label())), /nowhere/);
});
