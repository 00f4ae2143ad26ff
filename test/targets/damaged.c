// Badly damaged environments. `damaged KIND` does one damage to itself, goes ROUNDS times over the
// instruction `the_damage` while it lasts, and tells whether it came through.
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "output.h"

#define ROUNDS 5

long saved[8], count;
void round_trip(void);

// rdi to the place where the probe is, and back; what was damaged before it is mended behind it.
__asm__(
    ".text\n"
    "the_place: .globl the_damage\n.type the_damage, @function\nthe_damage: incq count(%rip)\n"
    "  jmp *%r15\n"
    "round_trip: .globl round_trip\n  lea 1f(%rip), %r15\n  jmp the_place\n1: ret\n");
#define THERE "lea 7f(%%rip), %%r15\n jmp the_damage\n7:\n"

static void plainly(void) {
  __asm__ volatile(THERE : : "D"(8) : "r15", "memory", "cc");
}

static void without_stack(void) {
  __asm__ volatile("mov %%rsp, %%r14\n mov $0x1000, %%esp\n" THERE "mov %%r14, %%rsp\n" : : "D"(8) : "r14", "r15", "memory", "cc");
}

static void without_thread_pointer(void) {
  long base;
  syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
  __asm__ volatile(
      "mov %0, %%r13\n mov $158, %%eax\n mov $0x1002, %%edi\n mov $0x123456789000, %%rsi\n syscall\n mov $8, %%edi\n" THERE
      "mov $158, %%eax\n mov $0x1002, %%edi\n mov %%r13, %%rsi\n syscall\n"
      : : "r"(base) : "rax", "rcx", "rdx", "rdi", "rsi", "r11", "r13", "r14", "r15", "memory", "cc");
}

static void without_registers(void) {
  __asm__ volatile(
      "mov %%rsp, saved(%%rip)\n mov %%rbp, saved+8(%%rip)\n mov %%rbx, saved+16(%%rip)\n"
      "mov $0xdeadbeefdeadbeef, %%rax\n"
      "mov %%rax, %%rbx\n mov %%rax, %%rcx\n mov %%rax, %%rdx\n mov %%rax, %%rsi\n mov %%rax, %%rdi\n mov %%rax, %%rbp\n"
      "mov %%rax, %%rsp\n mov %%rax, %%r8\n mov %%rax, %%r9\n mov %%rax, %%r10\n mov %%rax, %%r11\n mov %%rax, %%r12\n"
      "mov %%rax, %%r13\n mov %%rax, %%r14\n push_not: \n" THERE
      "mov saved(%%rip), %%rsp\n mov saved+8(%%rip), %%rbp\n mov saved+16(%%rip), %%rbx\n"
      : : : "rax", "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

static int erase_header(struct dl_phdr_info *info, size_t size, void *data) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || part->p_offset != 0) continue;
    char *header = (char *)info->dlpi_addr + part->p_vaddr;
    if (memcmp(header, ELFMAG, SELFMAG)) continue;
    if (mprotect(header, 4096, PROT_READ | PROT_WRITE) == 0) memset(header, 0xff, 64);
  }
  return 0;
}

static void damage(const char *kind, const char *self) {
  if (!strcmp(kind, "heap")) {
    char *block = malloc(100);
    memset(block - 16, 0xff, 4096);
  } else if (!strcmp(kind, "header")) {
    dl_iterate_phdr(erase_header, 0);
  } else if (!strcmp(kind, "deleted")) {
    unlink(self);
  } else if (!strcmp(kind, "address-space")) {
    struct rlimit none;
    getrlimit(RLIMIT_AS, &none);
    none.rlim_cur = 0;
    setrlimit(RLIMIT_AS, &none);
  } else if (!strcmp(kind, "signals")) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, 0);
  }
}

int main(int words_count, char **words) {
  const char *kind = words[1];
  static char text[64];
  void (*go)(void) = !strcmp(kind, "stack")       ? without_stack
                     : !strcmp(kind, "thread")    ? without_thread_pointer
                     : !strcmp(kind, "registers") ? without_registers
                                                  : plainly;
  damage(kind, words[0]);
  if (words_count > 3) raise(SIGSTOP);
  for (int i = 0; i < ROUNDS; i++) go();
  // No stdio: the heap may be no more.
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  int length = snprintf(text, sizeof text, "%s: came through %ld times%s\n", kind, count, limit.rlim_cur ? "" : ", no room");
  write(fileno(stdout), text, length);
  _exit(0);
}
