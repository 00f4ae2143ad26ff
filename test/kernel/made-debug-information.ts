import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../symbols/build-programs.js";

/** A function of a kernel, as debug information of our own is to describe it. */
export interface DescribedFunction {
  readonly name: string;
  /** As in the image. */
  readonly vaddr: number;
  readonly size: number;
}

/** An `unsigned int` of the kernel. */
export interface DescribedVariable {
  readonly name: string;
  readonly vaddr: number;
}

/**
 * A `vmlinux` that has nothing but a build-id and debug information (DWARF 5) of one function, with variables
 * wherever we say that they are: Debian's kernel image has none, and its package is of 280 MB.
 *
 *     file    a parameter in rdi: a struct file that is only declared here
 *     count   a parameter in rdx
 *     place   what rcx points to
 *     caller  the word under the frame's beginning: the return address
 *     slot    that same word, in memory
 *     pair    its first half is in rdx, its second is the constant 7
 *     later   is somewhere, but not in the first 32 bytes
 */
export function makeDebugInformation(
  folder: string,
  buildId: string,
  of: DescribedFunction,
  variable: DescribedVariable,
): string {
  const source = join(folder, "vmlinux.s");
  const object = join(folder, "vmlinux.o");
  const output = join(folder, "vmlinux");
  writeFileSync(source, assembly(of, variable));
  run("gcc", "-c", source, "-o", object);
  run(
    "ld",
    "-static",
    "-Ttext=0xffffffff81000000",
    "-e",
    "0",
    `--build-id=0x${buildId}`,
    object,
    "-o",
    output,
  );
  return output;
}

/** Numbers are DWARF's own: src/symbols/dwarf/facts.ts says which is which. */
function assembly({ name, vaddr, size }: DescribedFunction, variable: DescribedVariable): string {
  const abbreviation = (
    code: number,
    tag: number,
    children: boolean,
    pairs: readonly [number, number][],
  ): string =>
    [[code, tag], [children ? 1 : 0], ...pairs, [0, 0]]
      .map((numbers) => `  .uleb128 ${numbers.join(", ")}`)
      .join("\n");
  const hex = (at: number): string => `0x${BigInt.asUintN(64, BigInt(at)).toString(16)}`;
  const start = hex(vaddr);
  const local = (code: number, what: string, type: string, ...expression: string[]): string => `
  .uleb128 ${String(code)}
  .asciz "${what}"
  .long ${type} - unit
  .uleb128 ${what}_end - ${what}_start
${what}_start:
  ${expression.join("\n  ")}
${what}_end:`;
  const listed = (what: string, from: number, ...expression: string[]): string => `
${what}_list:
  .byte 7
  .quad ${start} + ${String(from)}, ${start} + ${String(size)}
  .uleb128 ${what}_end - ${what}_start
${what}_start:
  ${expression.join("\n  ")}
${what}_end:
  .byte 0`;
  return `
  .text
  nop
  .section .debug_abbrev
${abbreviation(1, 0x11, true, [
  [0x03, 0x08],
  [0x11, 0x01],
  [0x12, 0x07],
])}
${abbreviation(2, 0x2e, true, [
  [0x03, 0x08],
  [0x11, 0x01],
  [0x12, 0x07],
  [0x40, 0x18],
])}
${abbreviation(3, 0x05, false, [
  [0x03, 0x08],
  [0x49, 0x13],
  [0x02, 0x18],
])}
${abbreviation(4, 0x34, false, [
  [0x03, 0x08],
  [0x49, 0x13],
  [0x02, 0x18],
])}
${abbreviation(5, 0x34, false, [
  [0x03, 0x08],
  [0x49, 0x13],
  [0x02, 0x17],
])}
${abbreviation(6, 0x24, false, [
  [0x03, 0x08],
  [0x0b, 0x0b],
  [0x3e, 0x0b],
])}
${abbreviation(7, 0x0f, false, [[0x49, 0x13]])}
${abbreviation(8, 0x13, false, [
  [0x03, 0x08],
  [0x3c, 0x19],
])}
${abbreviation(9, 0x13, true, [
  [0x03, 0x08],
  [0x0b, 0x0b],
])}
${abbreviation(10, 0x0d, false, [
  [0x03, 0x08],
  [0x49, 0x13],
  [0x38, 0x0b],
])}
  .uleb128 0

  .section .debug_info
unit:
  .long unit_end - unit_version
unit_version:
  .short 5
  .byte 1, 8
  .long 0
  .uleb128 1
  .asciz "made.c"
  .quad ${start}, ${String(size)}
long_type:
  .uleb128 6
  .asciz "long int"
  .byte 8, 5
int_type:
  .uleb128 6
  .asciz "unsigned int"
  .byte 4, 7
${local(4, variable.name, "int_type", ".byte 0x03", `.quad ${hex(variable.vaddr)}`)}
file_type:
  .uleb128 8
  .asciz "file"
pointer_type:
  .uleb128 7
  .long file_type - unit
pair_type:
  .uleb128 9
  .asciz "pair"
  .byte 16
  .uleb128 10
  .asciz "first"
  .long long_type - unit
  .byte 0
  .uleb128 10
  .asciz "second"
  .long long_type - unit
  .byte 8
  .byte 0
  .uleb128 2
  .asciz "${name}"
  .quad ${start}, ${String(size)}
  .uleb128 1
  .byte 0x9c
${local(3, "file", "pointer_type", ".byte 0x55")}
${local(3, "count", "long_type", ".byte 0x51")}
${local(4, "place", "long_type", ".byte 0x72, 0, 0x06, 0x9f")}
${local(4, "slot", "long_type", ".byte 0x91", ".sleb128 -8")}
${local(4, "pair", "pair_type", ".byte 0x51, 0x93, 8, 0x37, 0x9f, 0x93, 8")}
  .uleb128 5
  .asciz "caller"
  .long long_type - unit
  .long caller_list
  .uleb128 5
  .asciz "later"
  .long long_type - unit
  .long later_list
  .byte 0
  .byte 0
unit_end:

  .section .debug_loclists
  .long lists_end - lists_version
lists_version:
  .short 5
  .byte 8, 0
  .long 0
${listed("caller", 0, ".byte 0x9c, 0x38, 0x1c, 0x06, 0x9f")}
${listed("later", 32, ".byte 0x50")}
lists_end:
`;
}
