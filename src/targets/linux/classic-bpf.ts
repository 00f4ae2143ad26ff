/**
 * Classic BPF as seccomp filters are written in. linux/filter.h, seccomp(2); what the kernel accepts:
 * kernel/seccomp.c, seccomp_check_filter.
 */

/** `struct sock_filter`. */
export interface BpfInstruction {
  readonly code: number;
  /** Instructions skipped where a comparison is true, and where it is false. */
  readonly jt: number;
  readonly jf: number;
  /** An unsigned 32-bit number. */
  readonly k: number;
}

/** Bytes of a `struct sock_filter`. */
export const BPF_INSTRUCTION_BYTES = 8;

/** Reads a `struct sock_filter[]`, as the kernel gives it. */
export function decodeBpf(view: DataView, count: number): BpfInstruction[] {
  return Array.from({ length: count }, (_, index) => {
    const at = index * BPF_INSTRUCTION_BYTES;
    return {
      code: view.getUint16(at, true),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, true),
    };
  });
}

/** The machine: two registers and sixteen words of scratch memory, all unsigned 32 bits. */
interface Machine {
  a: number;
  x: number;
  readonly scratch: Uint32Array;
}

const SCRATCH_WORDS = 16;

type Operand = (machine: Machine, k: number) => number;

const K: Operand = (_, k) => k;
const X: Operand = (machine) => machine.x;

/** What an arithmetic instruction does; undefined ends the filter with 0, as a division by zero does. */
type Arithmetic = (a: number, operand: number) => number | undefined;

const ARITHMETIC: ReadonlyMap<number, Arithmetic> = new Map<number, Arithmetic>([
  [0x00, (a, operand) => a + operand],
  [0x10, (a, operand) => a - operand],
  [0x20, (a, operand) => Math.imul(a, operand)],
  [0x30, (a, operand) => (operand === 0 ? undefined : Math.floor(a / operand))],
  [0x40, (a, operand) => a | operand],
  [0x50, (a, operand) => a & operand],
  [0x60, (a, operand) => a << (operand & 31)],
  [0x70, (a, operand) => a >>> (operand & 31)],
  [0x80, (a) => -a],
  [0xa0, (a, operand) => a ^ operand],
]);

type Comparison = (a: number, operand: number) => boolean;

const COMPARISONS: ReadonlyMap<number, Comparison> = new Map<number, Comparison>([
  [0x10, (a, operand) => a === operand],
  [0x20, (a, operand) => a > operand],
  [0x30, (a, operand) => a >= operand],
  [0x40, (a, operand) => (a & operand) !== 0],
]);

/** Instructions that only move a value. */
const MOVES: ReadonlyMap<number, (machine: Machine, k: number, data: DataView) => void> = new Map([
  [0x00, (machine: Machine, k: number) => void (machine.a = k)], // LD IMM
  [0x01, (machine: Machine, k: number) => void (machine.x = k)], // LDX IMM
  [0x20, (machine: Machine, k: number, data: DataView) => void (machine.a = data.getUint32(k, true))], // LD ABS
  [0x60, (machine: Machine, k: number) => void (machine.a = word(machine, k))], // LD MEM
  [0x61, (machine: Machine, k: number) => void (machine.x = word(machine, k))], // LDX MEM
  [0x80, (machine: Machine, _: number, data: DataView) => void (machine.a = data.byteLength)], // LD LEN
  [0x81, (machine: Machine, _: number, data: DataView) => void (machine.x = data.byteLength)], // LDX LEN
  [0x02, (machine: Machine, k: number) => void (machine.scratch[k] = machine.a)], // ST
  [0x03, (machine: Machine, k: number) => void (machine.scratch[k] = machine.x)], // STX
  [0x07, (machine: Machine) => void (machine.x = machine.a)], // TAX
  [0x87, (machine: Machine) => void (machine.a = machine.x)], // TXA
]);

const CLASS = 0x07;
const OPERATION = 0xf0;
const BY_X = 0x08;
const ALU = 0x04;
const JUMP = 0x05;
const JUMP_ALWAYS = 0x05;
const RETURN_K = 0x06;
const RETURN_A = 0x16;

/**
 * Runs a filter that the kernel has accepted.
 *
 * @param data what the filter looks at, as it lies in memory
 * @returns the value that it returns, unsigned 32 bits; undefined where it holds an instruction that
 *          is not known here
 */
export function runBpf(filter: readonly BpfInstruction[], data: DataView): number | undefined {
  const machine: Machine = { a: 0, x: 0, scratch: new Uint32Array(SCRATCH_WORDS) };
  for (let at = 0; ; at++) {
    const instruction = filter[at];
    if (instruction === undefined) return undefined;
    const { code, k, jt, jf } = instruction;
    if (code === RETURN_K) return k;
    if (code === RETURN_A) return machine.a;
    const operand = ((code & BY_X) === 0 ? K : X)(machine, k);
    const move = MOVES.get(code);
    if (move !== undefined) move(machine, k, data);
    else if (code === JUMP_ALWAYS) at += k;
    else if ((code & CLASS) === JUMP) {
      const comparison = COMPARISONS.get(code & OPERATION);
      if (comparison === undefined) return undefined;
      at += comparison(machine.a, operand) ? jt : jf;
    } else if ((code & CLASS) === ALU) {
      const arithmetic = ARITHMETIC.get(code & OPERATION);
      if (arithmetic === undefined) return undefined;
      const result = arithmetic(machine.a, operand);
      if (result === undefined) return 0;
      machine.a = result >>> 0;
    } else return undefined;
  }
}

function word(machine: Machine, index: number): number {
  return machine.scratch[index] as number; // the kernel checked the index
}
