// A handler is deferred while it runs, unless SA_NODEFER; sa_mask defers others. sigaction(2).
#include "check.h"

static volatile int depth, deepest, others, others_within;

static void again(int signal) {
  if (++depth > deepest) deepest = depth;
  if (deepest < 10) raise(signal);
  depth--;
}

static void other(int signal) {
  others += signal == SIGUSR2;
  if (depth > 0) others_within++;
}

int main(void) {
  handle(SIGUSR1, again, SA_NODEFER);
  raise(SIGUSR1);
  MUST(deepest == 10 && depth == 0);
  deepest = 0;
  handle(SIGUSR1, again, 0);
  // Each comes again as soon as the former returns, until the tenth; so let it not.
  depth = 9;
  raise(SIGUSR1);
  MUST(deepest == 10 && depth == 9);
  depth = 0;
  handle(SIGUSR2, other, 0);
  struct sigaction action = {.sa_handler = again};
  sigaddset(&action.sa_mask, SIGUSR2);
  MUST(sigaction(SIGUSR1, &action, NULL) == 0);
  block(SIGUSR1);
  raise(SIGUSR1);
  block(SIGUSR2);
  raise(SIGUSR2);
  sigset_t both = set_of(SIGUSR1);
  sigaddset(&both, SIGUSR2);
  MUST(sigprocmask(SIG_UNBLOCK, &both, NULL) == 0);
  MUST(others == 1 && depth == 0);
  return passed();
}
