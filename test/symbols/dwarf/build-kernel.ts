import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "../build-programs.js";

/** Linked where a kernel is, with what a kernel of ours needs: no BTF, no kallsyms, no ORC. */
const LINKER = `
SECTIONS {
  .data..percpu 0 : { *(.data..percpu) }
  . = 0xffffffff81000000;
  .text : { *(.text .text.*) }
  . = ALIGN(4096);
  .rodata : { *(.rodata .rodata.*) }
  .note.gnu.build-id : { *(.note.gnu.build-id) }
  .eh_frame : { *(.eh_frame) }
  . = ALIGN(4096);
  .data : { *(.data .data.*) }
  .bss : { *(.bss .bss.*) }
  /DISCARD/ : { *(.comment) }
}`;

const FIRST = `
  const char linux_banner[] = "Linux version 6.1.0-made (nobody@nowhere) #1 SMP\\n";
  struct list { struct list *next; };
  struct task { int pid; long state; struct list tasks; char comm[16]; };
  struct task first_task = { .pid = 1, .comm = "made" };
  __attribute__((section(".data..percpu"))) struct task *current_made;
  static int limit = 10;
  static int fixed = 10;
  extern long elsewhere[];
  __asm__(".pushsection .data; .globl elsewhere; elsewhere: .quad 5, 6; .popsection");
  void used(const void *what, long value);

  static inline __attribute__((always_inline)) long within(long base, int by) {
    long product = base * by;
    __asm__ volatile(".globl inside_within\\ninside_within: nop" : "+r"(product));
    return product;
  }

  __attribute__((noinline)) long work(struct task *task, int count, unsigned long flags) {
    long local = task->pid * 3L;
    struct task copy = *task;
    static int calls;
    calls++;
    limit += fixed;
    used(&copy, flags);
    __asm__ volatile(".globl inside_work\\ninside_work: nop" : "+r"(local), "+r"(count), "+r"(task));
    for (int turn = 0; turn < count; turn++) {
      local += within(local, turn + limit);
      used(task, local);
    }
    return local + copy.pid + elsewhere[0] + current_made->pid;
  }

  /* A copy is made of it, with parameters of its own. */
  __attribute__((noinline)) static long copied(struct task *task, int unused, int count, long flags) {
    used(task, flags);
    return task->pid + count;
  }
  long both(struct task *task, long flags) { return copied(task, 1, 2, flags) + copied(task + 1, 3, 2, flags + 1); }
`;

const SECOND = `
  struct other { char tag[3]; };
  static long limit = 20;
  static long fixed = 30;
  void used(const void *what, long value) { __asm__ volatile("" : : "r"(what), "r"(value), "r"(limit) : "memory"); }
  long limited(void) { return ++limit + ++fixed; }
`;

/**
 * Builds a small kernel with debug information as its own.
 *
 * @param folder that it is built in, as a kernel's tree: `vmlinux`, and without debug information
 * `arch/x86/boot/bzImage` (which is no boot image, but a kernel that is read as one is)
 */
export function buildKernel(
  folder: string,
  ...flags: readonly string[]
): { vmlinux: string; bzImage: string } {
  const vmlinux = join(folder, "vmlinux");
  const bzImage = join(folder, "arch/x86/boot/bzImage");
  mkdirSync(dirname(bzImage), { recursive: true });
  const sources = { "first.c": FIRST, "second.c": SECOND, "kernel.lds": LINKER };
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text);
  const objects = ["first", "second"].map((name) => {
    const object = join(folder, `${name}.o`);
    run(
      "gcc",
      "-c",
      join(folder, `${name}.c`),
      "-O2",
      "-g",
      "-mcmodel=kernel",
      "-fno-pie",
      "-mno-sse",
      "-w",
      ...flags,
      "-o",
      object,
    );
    return object;
  });
  run(
    "ld",
    "-static",
    "--build-id",
    "-z",
    "noexecstack",
    "-T",
    join(folder, "kernel.lds"),
    "-e",
    "work",
    ...objects,
    "-o",
    vmlinux,
  );
  run("objcopy", "--strip-debug", vmlinux, bzImage);
  return { vmlinux, bzImage };
}
