// A restartable sequence that is preempted or signalled goes to its abort handler, and counts right. rseq(2).
#include "check.h"
#include <linux/rseq.h>

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));

static volatile long counter, aborted, signals;
static void tick(int signal) { signals += signal == SIGALRM; }

__attribute__((noinline, noclone)) static int add(volatile struct rseq *area) {
  // A long sequence, so that some ticks fall into it.
  __asm__ goto volatile(
      ".pushsection __rseq_cs, \"aw\"\n.balign 32\n9: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n"
      "lea 9b(%%rip), %%rax; mov %%rax, %0\n"
      "1: mov $400, %%ecx\n3: dec %%ecx\njnz 3b\nincq %1\n2: jmp 5f\n"
      ".byte 0x0f, 0xb9, 0x3d; .long 0x53053053\n4: jmp %l[abort]\n5:\n"
      :
      : "m"(area->rseq_cs), "m"(counter)
      : "rax", "rcx", "cc", "memory"
      : abort);
  return 1;
abort:
  return 0;
}

int main(void) {
  if (&__rseq_size == NULL || __rseq_size == 0) return skipped("no rseq");
  volatile struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
  handle(SIGALRM, tick, SA_RESTART);
  struct itimerval timer = {{0, 500}, {0, 500}};
  MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  long added = 0;
  for (long i = 0; i < 20000 || (signals < 200 && i < 2000000); i++) {
    if (add(area)) added++;
    else aborted++;
    if (i % 100 == 0) MUST(getppid() > 0);
  }
  MUST(added == counter && signals > 0);
  return passed();
}
