// A fault kills a program that ignores or blocks its signal, whatever handler it has. signal(7).
#include "check.h"

static void *nowhere;

static void fault(int signal) {
  switch (signal) {
    case SIGSEGV: *(volatile char *)nowhere = 1; break;
    case SIGILL: __asm__ volatile("ud2"); break;
    case SIGFPE: __asm__ volatile("xorl %%ecx, %%ecx; movl $1, %%eax; cltd; idivl %%ecx" ::: "eax", "ecx", "edx"); break;
    default: *(volatile char *)((char *)nowhere + 4096) = 1; break;
  }
}

static void never(int signal) {
  (void)signal;
  _exit(77);
}

static pid_t starting(void) {
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) prctl(PR_SET_DUMPABLE, 0);
  return child;
}

int main(void) {
  int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  FILE *file = tmpfile();
  MUST(file != NULL);
  // The first page cannot be read, the second has no file behind it.
  nowhere = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
  MUST(nowhere != MAP_FAILED && mprotect(nowhere, 4096, PROT_NONE) == 0);
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
    pid_t ignores = starting();
    if (ignores == 0) {
      signal(signals[i], SIG_IGN);
      fault(signals[i]);
      _exit(0);
    }
    MUST(ending(ignores) == 128 + signals[i]);
    pid_t blocks = starting();
    if (blocks == 0) {
      handle(signals[i], never, 0);
      block(signals[i]);
      fault(signals[i]);
      _exit(0);
    }
    MUST(ending(blocks) == 128 + signals[i]);
  }
  return passed();
}
