// Parent and child wake each other by signals that are let in only while they wait. sigsuspend(2).
#include "check.h"

static volatile sig_atomic_t got;
static void count(int signal) { got += signal == SIGUSR1; }

int main(void) {
  handle(SIGUSR1, count, 0);
  block(SIGUSR1);
  sigset_t open;
  sigfillset(&open);
  sigdelset(&open, SIGUSR1);
  sigdelset(&open, SIGTERM);
  pid_t parent = getpid(), child = fork();
  MUST(child >= 0);
  pid_t other = child == 0 ? parent : child;
  for (int i = 0; i < 200; i++) {
    if (child != 0) MUST(kill(other, SIGUSR1) == 0);
    MUST(sigsuspend(&open) == -1 && errno == EINTR && got == i + 1);
    if (child == 0) MUST(kill(other, SIGUSR1) == 0);
  }
  if (child == 0) _exit(0);
  MUST(ending(child) == 0);
  return passed();
}
