/**
 * Symbols around sections, for images without section headers. Linux, include/asm-generic/vmlinux.lds.h
 * and arch/x86/kernel/vmlinux.lds.S.
 */
export const SECTION_MARKS: Readonly<Record<string, readonly [start: string, end: string]>> = {
  ".text": ["_stext", "_etext"],
  ".init.text": ["_sinittext", "_einittext"],
  ".BTF": ["__start_BTF", "__stop_BTF"],
  __ksymtab: ["__start___ksymtab", "__stop___ksymtab"],
  __ksymtab_gpl: ["__start___ksymtab_gpl", "__stop___ksymtab_gpl"],
  __ex_table: ["__start___ex_table", "__stop___ex_table"],
  ".orc_unwind": ["__start_orc_unwind", "__stop_orc_unwind"],
  ".orc_unwind_ip": ["__start_orc_unwind_ip", "__stop_orc_unwind_ip"],
};
