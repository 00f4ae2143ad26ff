// A program's own int3 and raised SIGTRAP come to its own handler, with what the kernel says of each.
#include "check.h"
#include <ucontext.h>

static volatile int breakpoints, raised;
extern char behind_int3[];

static void trapped(int signal, siginfo_t *info, void *context) {
  ucontext_t *state = context;
  MUST(signal == SIGTRAP);
  if (info->si_code == SI_KERNEL) {
    MUST((char *)state->uc_mcontext.gregs[REG_RIP] == behind_int3);
    breakpoints++;
  } else {
    MUST(info->si_code == SI_TKILL && info->si_pid == getpid());
    raised++;
  }
}

__attribute__((noinline, noclone)) static void breakpoint(void) {
  __asm__ volatile("int3\n.globl behind_int3\nbehind_int3:\n" ::: "memory");
}

int main(void) {
  handle_info(SIGTRAP, trapped, 0);
  for (int i = 0; i < 200; i++) {
    breakpoint();
    raise(SIGTRAP);
  }
  MUST(breakpoints == 200 && raised == 200);
  return passed();
}
