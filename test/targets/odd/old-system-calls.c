// System calls of 32-bit programs, made by int 0x80 in a 64-bit one. syscall(2).
#include "check.h"
#include <setjmp.h>

static sigjmp_buf back;
static void none(int signal) { siglongjmp(back, signal); }

__attribute__((noinline, noclone)) static int old_getpid(void) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "r8", "r9", "r10", "r11", "memory");
  return result;
}

int main(void) {
  handle(SIGSEGV, none, 0);
  if (sigsetjmp(back, 1) != 0) return skipped("no 32-bit system calls");
  for (int i = 0; i < 200; i++) MUST(old_getpid() == getpid());
  return passed();
}
