// Faults in the handler of a fault: one that it lets in, and one that kills. sigaction(2).
#include "check.h"
#include <setjmp.h>

static volatile char *nowhere;
static volatile int depth;
static sigjmp_buf out;

static void again(int signal) {
  MUST(signal == SIGSEGV);
  if (++depth < 5) *nowhere = 1;
  siglongjmp(out, depth);
}
static void once(int signal) {
  (void)signal;
  depth++;
  getpid();
  *nowhere = 1;
  _exit(0);
}

int main(void) {
  nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(nowhere != MAP_FAILED);
  handle(SIGSEGV, again, SA_NODEFER);
  for (int i = 0; i < 100; i++) {
    depth = 0;
    int from = sigsetjmp(out, 1);
    if (from == 0) *nowhere = 1;
    MUST(from == 5);
  }
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    handle(SIGSEGV, once, 0);
    *nowhere = 1;
    _exit(0);
  }
  MUST(ending(child) == 128 + SIGSEGV);
  return passed();
}
