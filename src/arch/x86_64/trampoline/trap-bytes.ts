/** An opcode that traps, whatever stands behind it. */
interface TrapByte {
  readonly exception: "#UD" | "#GP" | "#BP";
  /** What it was once, or is. */
  readonly what: string;
}

/**
 * Bytes that, where an instruction begins with them, raise an exception in 64-bit user code on every processor,
 * whatever follows and whatever the kernel allows the program: before they do anything, and with the program
 * counter at them (`int3`: one behind). Intel SDM vol. 2, appendix A.2.1 and table A-2 (superscript i64: invalid in
 * 64-bit mode); AMD APM vol. 3, appendix B.3 (invalid and reassigned instructions in 64-bit mode).
 *
 * Not among them: 62, 8F, C4, C5 and D5, which are prefixes now (EVEX, XOP, VEX, REX2); 6C to 6F, E4 to E7 and EC to
 * EF, port instructions that `ioperm` may allow; FA and FB, `cli` and `sti`, which Linux emulates for who has called
 * `iopl` (arch/x86/kernel/traps.c, fixup_iopl_exception); F1, `int1`, of which some machines tell another address than
 * others.
 */
export const TRAP_BYTES: Readonly<Record<number, TrapByte>> = {
  0x06: { exception: "#UD", what: "push es" },
  0x07: { exception: "#UD", what: "pop es" },
  0x0e: { exception: "#UD", what: "push cs" },
  0x16: { exception: "#UD", what: "push ss" },
  0x17: { exception: "#UD", what: "pop ss" },
  0x1e: { exception: "#UD", what: "push ds" },
  0x1f: { exception: "#UD", what: "pop ds" },
  0x27: { exception: "#UD", what: "daa" },
  0x2f: { exception: "#UD", what: "das" },
  0x37: { exception: "#UD", what: "aaa" },
  0x3f: { exception: "#UD", what: "aas" },
  0x60: { exception: "#UD", what: "pusha" },
  0x61: { exception: "#UD", what: "popa" },
  0x82: { exception: "#UD", what: "an alias of 80" },
  0x9a: { exception: "#UD", what: "call far" },
  0xcc: { exception: "#BP", what: "int3" },
  0xce: { exception: "#UD", what: "into" },
  0xd4: { exception: "#UD", what: "aam" },
  0xd6: { exception: "#UD", what: "salc" },
  0xea: { exception: "#UD", what: "jmp far" },
  0xf4: { exception: "#GP", what: "hlt, for the kernel alone" },
};

/** Whether whoever begins an instruction at this byte gets no farther. */
export function isTrapByte(byte: number): boolean {
  return TRAP_BYTES[byte] !== undefined;
}
