// SA_RESETHAND: the second signal finds the default. sigaction(2).
#include "check.h"

static volatile sig_atomic_t handled;
static void count(int signal) { handled += signal != 0; }

int main(void) {
  int numbers[] = {SIGUSR1, SIGTERM, SIGSEGV, SIGRTMIN + 3, SIGFPE};
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    pid_t child = fork();
    if (child == 0) {
      handle(numbers[i], count, SA_RESETHAND);
      raise(numbers[i]);
      struct sigaction now;
      if (sigaction(numbers[i], NULL, &now) != 0 || now.sa_handler != SIG_DFL || handled != 1) _exit(1);
      raise(numbers[i]);
      _exit(2);
    }
    MUST(ending(child) == 128 + numbers[i]);
  }
  return passed();
}
