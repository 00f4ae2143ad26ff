// ppoll and pselect let a pending signal in for as long as they wait, and put the mask back.
#include "check.h"
#include <sys/select.h>

static volatile sig_atomic_t got;
static void count(int signal) { got += signal == SIGUSR1; }

int main(void) {
  handle(SIGUSR1, count, 0);
  block(SIGUSR1);
  sigset_t none, now;
  sigemptyset(&none);
  struct timespec minute = {60, 0};
  for (int i = 0; i < 50; i++) {
    MUST(raise(SIGUSR1) == 0 && got == 2 * i);
    MUST(ppoll(NULL, 0, &minute, &none) == -1 && errno == EINTR && got == 2 * i + 1);
    MUST(raise(SIGUSR1) == 0 && got == 2 * i + 1);
    MUST(pselect(0, NULL, NULL, NULL, &minute, &none) == -1 && errno == EINTR && got == 2 * i + 2);
    MUST(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR1) == 1);
  }
  struct timespec moment = {0, 1000000};
  MUST(ppoll(NULL, 0, &moment, &none) == 0);
  return passed();
}
