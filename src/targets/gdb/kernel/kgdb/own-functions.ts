import { compileGlob } from "../../../../symbols/glob.js";

/**
 * Functions that KGDB itself runs between a breakpoint's trap and its answer, and is not kept from on the kernel's
 * own list: a breakpoint there would stop the debugger in itself, upon which it takes all breakpoints out for good
 * ("reenter exception: ALL breakpoints killed"). kernel/debug/debug_core.c and gdbstub.c, arch/x86/kernel/kgdb.c and
 * alternative.c (how it writes into text), arch/x86/mm/tlb.c, drivers/tty/serial/kgdboc.c and 8250_port.c (how
 * it talks), kernel/notifier.c (how it is told).
 */
const RUN_BY_KGDB = [
  // The debugger and its protocol.
  "kgdb*", "__kgdb*", "dbg_*", "gdb_*", "gdbstub_*", "opt_kgdb*", "getthread", "get_packet", "put_packet",
  "pack_hex_byte", "pack_threadid", "int_to_threadref", "error_packet", "hex2bin", "hex_to_bin", "bin2hex",
  "write_mem_msg", "shadow_pid", "pt_regs_to_gdb_regs", "find_task_by_pid_ns", "find_task_by_vpid",
  // How it is told, and how it keeps watchdogs quiet.
  "notify_die", "atomic_notifier_call_chain", "notifier_call_chain", "*touch_softlockup_watchdog*",
  "touch_nmi_watchdog", "clocksource_touch_watchdog", "rcu_cpu_stall_reset",
  // How it reads and writes memory, text above all.
  "copy_from_kernel_nofault*", "copy_to_kernel_nofault", "*text_poke*", "*use_temporary_mm", "switch_mm*",
  "load_new_mm_cr3", "switch_ldt", "*flush_tlb*", "core_kernel_text", "__get_locked_pte", "*vmalloc_to_page",
  "memcpy", "__memcpy", "memset", "__memset", "memcmp", "memmove", "__memmove", "flush_icache_range",
  "strlen", "strcmp", "strncmp", "strcpy", "strncpy", "strscpy", "strchr", "strstr",
  // How it talks.
  "kgdboc*", "*_poll_get_char", "*_poll_put_char", "*get_poll_char", "*put_poll_char", "io_serial_*", "mem_serial_*",
] as const; // prettier-ignore

const GLOBS = RUN_BY_KGDB.map((pattern) => compileGlob(pattern));

/** Whether KGDB itself runs a function, by its name. */
export function isRunByKgdb(name: string): boolean {
  return GLOBS.some((glob) => glob.matches(name));
}
