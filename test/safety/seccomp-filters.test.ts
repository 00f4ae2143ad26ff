// What a seccomp filter would say to a call is told without making it, and as the kernel tells it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { type BpfInstruction, runBpf } from "../../src/targets/linux/classic-bpf.js";
import { answerOf } from "../../src/targets/linux/seccomp.js";
import type { Address } from "../../src/base/address.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";

const GCC = needs("gcc");

const GETPPID = 110;
const ERRNO = 0x5_0000;
const ALLOW = 0x7fff_0000;

const [LD_ABS, LD_LEN, LD_IMM, LDX_IMM, LD_MEM, LDX_MEM] = [0x20, 0x80, 0x00, 0x01, 0x60, 0x61];
const [ST, STX, TAX, TXA, JA, RET_K, RET_A] = [0x02, 0x03, 0x07, 0x87, 0x05, 0x06, 0x16];
const [AND_K, OR_K, RSH_K, NEG, JEQ_K] = [0x54, 0x44, 0x74, 0x84, 0x15];
const ARITHMETIC = [0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0xa4];
const COMPARISONS = [0x15, 0x25, 0x35, 0x45];
const BY_X = 0x08;
/** Left and right shifts, division: what they may not be given is refused by the kernel. */
const SHIFTS = [0x64, 0x74];
const DIVISION = 0x34;

const op = (code: number, k = 0, jt = 0, jf = 0): BpfInstruction => ({ code, k: k >>> 0, jt, jf });

/** All calls but getppid are allowed: what is tried out is asked about that one alone. */
const PROLOGUE = [op(LD_ABS, 0), op(JEQ_K, GETPPID, 1, 0), op(RET_K, ALLOW)];

interface Case {
  readonly filter: readonly BpfInstruction[];
  readonly args: readonly number[];
}

function kernelSays(cases: readonly Case[]): string[] {
  const input = cases.map(({ filter, args }) => {
    const bytes = Buffer.alloc(4 + 8 * filter.length + 48);
    bytes.writeUInt32LE(filter.length);
    for (const [index, { code, jt, jf, k }] of filter.entries()) {
      const at = 4 + 8 * index;
      bytes.writeUInt16LE(code, at);
      bytes.writeUInt8(jt, at + 2);
      bytes.writeUInt8(jf, at + 3);
      bytes.writeUInt32LE(k, at + 4);
    }
    for (const [index, arg] of args.entries())
      bytes.writeBigUInt64LE(BigInt(arg), bytes.length - 48 + 8 * index);
    return bytes;
  });
  const { stdout, status } = spawnSync(target("filtered"), {
    input: Buffer.concat(input),
    encoding: "latin1",
    timeout: 60_000,
  });
  assert.equal(status, 0);
  return stdout.trimEnd().split("\n");
}

const weSay = ({ filter, args }: Case): number | undefined =>
  answerOf([filter], { number: GETPPID, args, behind: 0 as Address });

/** What {@link kernelSays} an answer leads to. */
function outcome(answer: number | undefined): string {
  assert.notEqual(answer, undefined);
  const value = answer ?? 0;
  const [ENOSYS, SIGSYS] = [38, 31];
  switch ((value & 0xffff_0000) >>> 0) {
    case ALLOW:
    case 0x7ffc_0000:
      return "allowed";
    case ERRNO:
      return `errno ${String(Math.min(value & 0xffff, 4095))}`;
    case 0x7ff0_0000: // to a tracer, and to a supervisor: there are none
    case 0x7fc0_0000:
      return `errno ${String(ENOSYS)}`;
    case 0x3_0000:
      return "trap";
    default:
      return `killed by ${String(SIGSYS)}`;
  }
}

test("every action that a filter can answer with is told as the kernel takes it", GCC, () => {
  const answers = [ALLOW, 0x7ffc_0000, ERRNO, ERRNO | 1, ERRNO | 0xffff, 0x3_0000, 0x7ff0_0000, 0x7fc0_0000];
  const cases = [...answers, 0x8000_0000, 0, 0x1234_5678, 0x7fff_1234].map((answer) => ({
    filter: [...PROLOGUE, op(RET_K, answer)],
    args: [],
  }));
  assert.deepEqual(
    cases.map((each) => outcome(weSay(each))),
    kernelSays(cases),
  );
});

test("random filters are evaluated as the kernel evaluates them", GCC, (context) => {
  const seed = Number(process.env["TRAPLINE_SEED"] ?? Date.now() % 2 ** 31);
  context.diagnostic(`seed ${String(seed)}`);
  const random = generator(seed);
  const cases = Array.from({ length: 600 }, () => randomCase(random));
  const kernel = kernelSays(cases);
  assert.equal(kernel.length, cases.length);
  for (const [index, each] of cases.entries())
    assert.equal(outcome(weSay(each)), kernel[index], JSON.stringify(each));
});

test("of several filters the strictest answer counts", () => {
  const all = [ALLOW, 0x7ffc_0000, 0x7ff0_0000, 0x7fc0_0000, ERRNO | 2, 0x3_0000, 0, 0x8000_0000];
  const filters = all.map((answer) => [op(RET_K, answer)]);
  for (let strictest = 0; strictest < all.length; strictest++) {
    const some = filters.slice(0, strictest + 1);
    const call = { number: 1, args: [], behind: 0 as Address };
    assert.equal(answerOf(some, call), all[strictest]);
    assert.equal(answerOf(some.reverse(), call), all[strictest]);
  }
});

test("what is no filter, or none that is known, is not told to allow anything", () => {
  const data = new DataView(new ArrayBuffer(64));
  assert.equal(runBpf([], data), undefined);
  assert.equal(runBpf([op(LD_IMM, 1)], data), undefined);
  assert.equal(runBpf([op(0x94, 3), op(RET_K, ALLOW)], data), undefined); // MOD: not in seccomp
  assert.equal(runBpf([op(0x4d, 3), op(RET_K, ALLOW), op(RET_K, ALLOW)], data), ALLOW);
});

type Random = (below: number) => number;

/** Park and Miller's generator. */
function generator(seed: number): Random {
  let state = (seed % 2147483646) + 1;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

function randomCase(random: Random): Case {
  const word = (): number => (random(3) === 0 ? random(40) : random(2 ** 31 - 1) * 2 + random(2));
  const body: BpfInstruction[] = [];
  const length = 1 + random(30);
  for (let index = 0; index < length; index++) body.push(randomInstruction(random, word, length - index));
  // Three registers' worth of the result, 12 bits at a time: more an error number does not hold.
  const shift = random(3) * 12;
  const whole = random(2) === 0 ? [] : [op(TXA)];
  return {
    filter: [
      ...PROLOGUE,
      ...[0, 1, 2].map((place) => op(ST, place)),
      op(LDX_IMM, word()),
      ...body,
      ...whole,
      op(RSH_K, shift),
      op(AND_K, 0xfff),
      op(OR_K, ERRNO),
      op(RET_A),
    ],
    args: Array.from({ length: 6 }, () => word() * (random(2) === 0 ? 1 : 2 ** 20)),
  };
}

function randomInstruction(random: Random, word: () => number, left: number): BpfInstruction {
  const pick = (codes: readonly number[]): number => codes[random(codes.length)] ?? 0;
  const place = random(3);
  switch (random(9)) {
    case 0:
      return op(LD_ABS, [0, 4, ...Array.from({ length: 12 }, (_, index) => 16 + 4 * index)][random(14)]);
    case 1:
      return op(pick([LD_LEN, 0x81]));
    case 2:
      return op(pick([LD_IMM, LDX_IMM]), word());
    case 3:
      return op(pick([LD_MEM, LDX_MEM, ST, STX]), place);
    case 4:
      return op(pick([TAX, TXA]));
    case 5:
      return random(4) === 0 ? op(JA, random(left)) : randomComparison(random, word, left);
    default: {
      if (random(12) === 0) return op(NEG);
      const code = pick(ARITHMETIC);
      if (random(2) === 0) return op(code | BY_X);
      return op(code, SHIFTS.includes(code) ? random(32) : code === DIVISION ? 1 + random(1000) : word());
    }
  }
}

function randomComparison(random: Random, word: () => number, left: number): BpfInstruction {
  const code = (COMPARISONS[random(COMPARISONS.length)] ?? JEQ_K) | (random(2) === 0 ? BY_X : 0);
  return op(code, word(), random(left), random(left));
}
