// A program steps itself with the trap flag and counts its own steps.
#include "check.h"
#include <ucontext.h>

#define TRAP_FLAG 0x100
static volatile int steps;
extern char from_here[], to_here[];

static void stepped(int signal, siginfo_t *info, void *context) {
  ucontext_t *state = context;
  char *at = (char *)state->uc_mcontext.gregs[REG_RIP];
  MUST(signal == SIGTRAP && info->si_code == TRAP_TRACE);
  if (at > from_here && at <= to_here) steps++;
}

__attribute__((noinline, noclone)) static int work(void) {
  int sum;
  __asm__ volatile(
      "pushfq; orl $0x100, (%%rsp); popfq\n"
      ".globl from_here\nfrom_here: nop; nop; mov $5, %0; add $7, %0; nop\n.globl to_here\nto_here:\n"
      "pushfq; andl $~0x100, (%%rsp); popfq\n"
      : "=r"(sum)::"cc", "memory");
  return sum;
}

int main(void) {
  handle_info(SIGTRAP, stepped, 0);
  for (int i = 0; i < 50; i++) MUST(work() == 12);
  MUST(steps == 50 * 5);
  return passed();
}
