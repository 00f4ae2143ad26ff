import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Address, offsetBy } from "../../src/base/address.js";
import type { RegisterFile } from "../../src/arch/x86_64/registers.js";
import { jumpBytes, type JumpLength, JumpTargets } from "../../src/arch/x86_64/trampoline/jump-bytes.js";
import { inBoth } from "../../src/arch/x86_64/trampoline/reach.js";
import { isTrapByte, TRAP_BYTES } from "../../src/arch/x86_64/trampoline/trap-bytes.js";
import { AT, RESUME_FLAG, SI_KERNEL, SIGTRAP } from "./compare.js";
import {
  CODE,
  compiler,
  DATA,
  differences,
  freshMemory,
  MIDDLE_SLOT,
  type Outcome,
  registerFile,
  type Run,
  runAll,
  STACK,
} from "./processor.js";
import { generator } from "./sampling.js";

const processor = { skip: compiler === undefined ? "no C compiler" : false };

function registersAt(pc: Address): RegisterFile {
  return registerFile({
    rax: BigInt(DATA + 0x100),
    rbx: BigInt(DATA + 0x200),
    rcx: 3n,
    rsi: BigInt(DATA + 0x300),
    rdi: BigInt(DATA + 0x400),
    rsp: BigInt(STACK + 0x800),
    rbp: BigInt(STACK + 0x900),
    fs_base: BigInt(DATA),
    eflags: 0x202n,
    rip: BigInt(pc),
  });
}

const SIGILL = 4;
const SIGSEGV = 11;
const ILL_ILLOPN = 2;

/** Asserts that a thread that began at a trap byte was stopped there, and that nothing else happened. */
function assertTrapped(outcome: Outcome, at: Address, byte: number, what: string): void {
  const { exception } = TRAP_BYTES[byte] ?? assert.fail(`${what}: no trap byte`);
  const expected = registersAt(at);
  const [signal, code, address] = {
    "#UD": [SIGILL, ILL_ILLOPN, BigInt(at)],
    "#GP": [SIGSEGV, SI_KERNEL, 0n],
    "#BP": [SIGTRAP, SI_KERNEL, 0n],
  }[exception];
  if (exception === "#BP") expected.pc = offsetBy(at, 1);
  else expected.write("eflags", expected.read("eflags") | RESUME_FLAG);
  assert.equal(outcome.signal, signal, `${what}: signal`);
  assert.equal(outcome.code, code, `${what}: si_code`);
  assert.equal(outcome.address, address, `${what}: si_addr`);
  // Those are the process's own.
  for (const name of ["cs", "ss", "ds", "es", "fs", "gs", "orig_rax"] as const)
    expected.write(name, outcome.registers.read(name));
  assert.equal(differences(expected, outcome.registers), "", `${what}: registers`);
  assert.deepEqual(outcome.memory, freshMemory(), `${what}: memory`);
}

void test(
  "each trap byte traps on the processor, whatever stands behind it, and changes nothing",
  processor,
  (t) => {
    const random = generator(11);
    const FOLLOWING = 12;
    const tails = [
      ...[0x00, 0x90, 0xff, 0xc0, 0x0f, 0x48].map((byte) => new Uint8Array(14).fill(byte)),
      ...Array.from({ length: FOLLOWING }, () => Uint8Array.from({ length: 14 }, () => random(256))),
    ];
    const trials = Object.keys(TRAP_BYTES).flatMap((key) =>
      tails.map((tail) => ({ byte: Number(key), tail })),
    );
    const outcomes = runAll(
      trials.map(({ byte, tail }): Run => ({
        codeAt: AT,
        code: Uint8Array.of(byte, ...tail),
        registers: registersAt(AT),
      })),
    );
    trials.forEach(({ byte, tail }, index) => {
      const what = `${byte.toString(16)} ${Buffer.from(tail).toString("hex")}`;
      assertTrapped(outcomes[index] as Outcome, AT, byte, what);
    });
    t.diagnostic(`${String(trials.length)} runs`);
  },
);

const SUBSETS = Array.from({ length: 16 }, (_, bits) =>
  [1, 2, 3, 4].filter((offset) => bits & (1 << (offset - 1))),
);

void test(
  "a jump leads where it should, and whoever comes to one of its bytes where an instruction began traps there",
  processor,
  () => {
    const at = offsetBy(CODE, 0x100);
    const page = { start: MIDDLE_SLOT, end: offsetBy(MIDDLE_SLOT, 4096) };
    const trials: { what: string; code: Uint8Array; entry: number; target: Address }[] = [];
    for (const inner of SUBSETS) {
      const target = inBoth(new JumpTargets(at, 5, inner), page).next(page.start);
      assert.ok(target !== undefined, `inner ${inner.join(",")}: no target in the page`);
      const code = jumpBytes(at, 5, target);
      for (const entry of [0, ...inner])
        trials.push({ what: `inner ${inner.join(",")}, +${String(entry)}`, code, entry, target });
    }
    const short = new JumpTargets(at, 2, [1]);
    for (
      let target = short.next(0 as Address);
      target !== undefined;
      target = short.next(offsetBy(target, 1))
    ) {
      const code = jumpBytes(at, 2, target);
      for (const entry of [0, 1])
        trials.push({ what: `short to ${target.toString(16)}, +${String(entry)}`, code, entry, target });
    }
    assert.equal(trials.length, 16 + 32 + 2 * Object.keys(TRAP_BYTES).length);
    const outcomes = runAll(
      trials.map(({ code, entry }): Run => ({
        codeAt: at,
        code,
        registers: registersAt(offsetBy(at, entry)),
      })),
    );
    trials.forEach(({ what, code, entry, target }, index) => {
      const outcome = outcomes[index] as Outcome;
      if (entry > 0) assertTrapped(outcome, offsetBy(at, entry), code[entry] as number, what);
      else {
        // All about is int3.
        assert.equal(outcome.signal, SIGTRAP, what);
        assert.equal(outcome.registers.pc, target + 1, what);
      }
    });
  },
);

const anInner = fc.subarray([1, 2, 3, 4]);
const aPlace = fc.integer({ min: 0x1000, max: 2 ** 46 });

function traps(at: Address, length: JumpLength, inner: readonly number[], target: number): boolean {
  const half = 2 ** (8 * (length - 1) - 1);
  const distance = target - at - length;
  if (distance < -half || distance >= half) return false;
  const bytes = jumpBytes(at, length, target as Address);
  return inner.every((offset) => offset >= length || isTrapByte(bytes[offset] as number));
}

void test("the next and the previous target are right, and none between is left out", () => {
  fc.assert(
    fc.property(
      aPlace,
      anInner,
      fc.double({ min: -1, max: 1, noNaN: true }),
      fc.nat(),
      (place, inner, way, pick) => {
        const at = place as Address;
        const from = Math.floor(place + way * 2.2e9) as Address;
        const targets = new JumpTargets(at, 5, inner);
        const next = targets.next(from);
        const previous = targets.previous(from);
        if (next !== undefined) {
          assert.ok(next >= from && traps(at, 5, inner, next));
          assert.ok(next === from || targets.previous(offsetBy(next, -1)) === previous);
          if (next > from) assert.ok(!traps(at, 5, inner, from + (pick % (next - from))));
        } else assert.equal(targets.previous((2 ** 47) as Address), previous);
        if (previous !== undefined) {
          assert.ok(previous <= from && traps(at, 5, inner, previous));
          if (previous < from) assert.ok(!traps(at, 5, inner, from - (pick % (from - previous))));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

void test("of a short jump all targets are found, from below and from above", () => {
  const at = 0x40_1000 as Address;
  for (const inner of [[], [1]]) {
    const targets = new JumpTargets(at, 2, inner);
    const expected = Array.from({ length: 256 }, (_, index) => at + 2 - 128 + index).filter((target) =>
      traps(at, 2, inner, target),
    );
    const up: number[] = [];
    for (let to = targets.next(0 as Address); to !== undefined; to = targets.next(offsetBy(to, 1)))
      up.push(to);
    const down: number[] = [];
    for (
      let to = targets.previous((2 ** 46) as Address);
      to !== undefined;
      to = targets.previous(offsetBy(to, -1))
    )
      down.push(to);
    assert.deepEqual(up, expected);
    assert.deepEqual(down.reverse(), expected);
  }
});

void test("a jump that would lead too far is an error of the caller", () => {
  assert.throws(() => jumpBytes(0x1000 as Address, 2, 0x1082 as Address), /no jump of 2 bytes/);
  assert.throws(() => jumpBytes(0x1000 as Address, 5, 0x1_0000_0000 as Address), /no jump of 5 bytes/);
  assert.deepEqual([...jumpBytes(0x1000 as Address, 5, 0x1005 as Address)], [0xe9, 0, 0, 0, 0]);
});
