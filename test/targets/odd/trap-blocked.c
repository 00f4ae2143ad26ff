// SIGTRAP is blocked, pends, and is taken by sigwait; masks are read back as they were set.
#include "check.h"

int main(void) {
  block(SIGTRAP);
  sigset_t mask, pending, set = set_of(SIGTRAP);
  MUST(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGTRAP) == 1);
  for (int i = 0; i < 50; i++) {
    MUST(sigpending(&pending) == 0 && !sigismember(&pending, SIGTRAP));
    MUST(raise(SIGTRAP) == 0);
    MUST(sigpending(&pending) == 0 && sigismember(&pending, SIGTRAP) == 1);
    siginfo_t info;
    MUST(sigwaitinfo(&set, &info) == SIGTRAP && info.si_code <= 0);
  }
  unblock(SIGTRAP);
  MUST(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGTRAP) == 0);
  return passed();
}
