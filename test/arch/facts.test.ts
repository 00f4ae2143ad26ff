import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/base/address.js";
import { MemoryFault } from "../../src/base/errors.js";
import {
  argumentLocation,
  readLocation,
  RETURN_ADDRESS,
  systemCallArgument,
} from "../../src/arch/x86_64/arguments.js";
import { boundaryVerdict, instructionStarts, scanPrefixes } from "../../src/arch/x86_64/decode.js";
import { exceptionSet, mayHaveRaised } from "../../src/arch/x86_64/exceptions.js";
import {
  readSigned,
  readUnsigned,
  registerPart,
  SCRIPT_REGISTER_NAMES,
} from "../../src/arch/x86_64/register-names.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";

const AT = 0x1000 as Address;

void test("instruction boundaries: on one, inside, and behind what decodes", () => {
  // push rbp; mov rbp,rsp; nop [rax+rax]; ret; (push es: bad)
  const body = Uint8Array.of(0x55, 0x48, 0x89, 0xe5, 0x0f, 0x1f, 0x44, 0, 0, 0xc3, 0x06, 0x90);
  const found = instructionStarts(body, AT);
  assert.deepEqual(found.starts, [0x1000, 0x1001, 0x1004, 0x1009]);
  assert.equal(found.decodedUpTo, 0x100a);
  assert.deepEqual(boundaryVerdict(found, 0x1004 as Address), { kind: "boundary" });
  assert.deepEqual(boundaryVerdict(found, 0x1003 as Address), { kind: "inside", start: 0x1001 });
  assert.equal(boundaryVerdict(found, 0x100a as Address).kind, "unknown");
  assert.equal(boundaryVerdict(found, 0xfff as Address).kind, "unknown");
});

void test("a function body that ends within an instruction", () => {
  const found = instructionStarts(Uint8Array.of(0x90, 0x48, 0x8b), AT);
  assert.deepEqual(found, { starts: [0x1000], decodedUpTo: 0x1001 });
});

void test("a REX prefix counts only right before the opcode", () => {
  assert.equal(scanPrefixes(Uint8Array.of(0x48, 0x66, 0xe8)).rexW, false);
  assert.equal(scanPrefixes(Uint8Array.of(0x66, 0x48, 0xe8)).rexW, true);
});

void test("whether an instruction can have raised a signal, and as what", () => {
  const load = { raises: exceptionSet("#PF", "#GP"), isSystemCall: false };
  const divide = { raises: exceptionSet("#DE"), isSystemCall: false };
  const breakpoint = { raises: exceptionSet("#BP"), isSystemCall: false };
  const systemCall = { raises: 0, isSystemCall: true };
  assert.equal(mayHaveRaised("SIGSEGV", 1, load), "fault");
  assert.equal(mayHaveRaised("SIGSEGV", 0x80, load), "fault");
  assert.equal(mayHaveRaised("SIGBUS", 2, load), "fault");
  assert.equal(mayHaveRaised("SIGFPE", 1, divide), "fault");
  assert.equal(mayHaveRaised("SIGTRAP", 0x80, breakpoint), "trap");
  assert.equal(mayHaveRaised("SIGTRAP", 1, { raises: exceptionSet("#DB"), isSystemCall: false }), "either");
  assert.equal(mayHaveRaised("SIGSYS", 1, systemCall), "trap");
  assert.equal(mayHaveRaised("SIGSEGV", 1, divide), undefined);
  assert.equal(mayHaveRaised("SIGFPE", 1, load), undefined);
  assert.equal(mayHaveRaised("SIGSYS", 1, load), undefined);
  // SI_USER, SI_QUEUE, SI_TKILL: somebody sent it.
  for (const code of [0, -1, -6]) assert.equal(mayHaveRaised("SIGSEGV", code, load), undefined);
});

const memory = {
  read(at: Address, into: Uint8Array): void {
    if (at < 0x7000) throw new MemoryFault(BigInt(at), "read", "unmapped");
    new DataView(into.buffer).setBigUint64(0, BigInt(at), true);
  },
};

void test("integer arguments: six in registers, the seventh above the return address", () => {
  const registers = new RegisterFile();
  registers.write("r9", 6n);
  registers.write("rsp", 0x7000n);
  assert.equal(readLocation(argumentLocation(6), registers, memory), 6n);
  assert.equal(readLocation(argumentLocation(7), registers, memory), 0x7008n);
  assert.equal(readLocation(argumentLocation(8), registers, memory), 0x7010n);
  assert.equal(readLocation(RETURN_ADDRESS, registers, memory), 0x7000n);
  assert.throws(() => argumentLocation(0), RangeError);
  assert.equal(systemCallArgument(4), "r10");
  assert.equal(systemCallArgument(7), undefined);
});

void test("an argument on a damaged stack is a memory fault", () => {
  const registers = new RegisterFile();
  registers.write("rsp", 0x1000n);
  assert.throws(() => readLocation(argumentLocation(7), registers, memory), MemoryFault);
  registers.write("rsp", 0xdead_beef_dead_beefn);
  assert.throws(() => readLocation(argumentLocation(7), registers, memory), { reason: "not-canonical" });
});

void test("register names: whole, parts, signed and unsigned", () => {
  const registers = new RegisterFile();
  registers.write("rax", 0xffff_ffff_8000_80f0n);
  const signed = (name: string): bigint => readSigned(registers, registerPart(name) ?? assert.fail(name));
  const unsigned = (name: string): bigint => readUnsigned(registers, registerPart(name) ?? assert.fail(name));
  assert.equal(signed("rax"), -0x7fff_7f10n);
  assert.equal(signed("ax"), signed("rax"));
  assert.equal(unsigned("eax"), 0x8000_80f0n);
  assert.equal(signed("eax"), -0x7fff_7f10n);
  assert.equal(unsigned("al"), 0xf0n);
  assert.equal(signed("al"), -0x10n);
  assert.equal(unsigned("ah"), 0x80n);
  assert.equal(registerPart("xmm0"), undefined);
  assert.equal(registerPart("constructor"), undefined);
});

void test("every register name that SystemTap documents for x86_64 is known", () => {
  const documented =
    "r8 r9 r10 r11 r12 r13 r14 r15 rax ax rbp bp rbx bx rcx cx rdi di rdx dx rip ip rsi si rsp sp " +
    "eax ebp ebx ecx edx edi eip esi esp flags eflags orig_eax xcs cs xss ss";
  for (const name of documented.split(" ")) assert.ok(SCRIPT_REGISTER_NAMES.includes(name), name);
});

void test("the program counter and the stack pointer hold addresses of both halves", () => {
  const registers = new RegisterFile();
  for (const at of [0, 1, 0x7fff_ffff_f000, 0xffff_ffff, 0x1_0000_0000, -1, -0x7f00_0000, -(2 ** 47)]) {
    registers.pc = at as Address;
    assert.equal(registers.pc, at);
    assert.equal(registers.read("rip"), BigInt.asUintN(64, BigInt(at)));
  }
});
