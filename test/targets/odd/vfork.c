// A vfork child has the parent's memory, and the parent stands until it ends or executes. vfork(2).
#include "check.h"

static volatile int shared;
static void note(int signal) { shared += signal == SIGUSR1 ? 1000 : 0; }

int main(int argc, char **argv) {
  if (argc > 1) return atoi(argv[1]);
  handle(SIGUSR1, note, 0);
  for (int i = 1; i <= 60; i++) {
    pid_t child = vfork();
    if (child == 0) {
      shared = i;
      if (i % 3 == 0) execl("/proc/self/exe", "vfork", "19", NULL);
      if (i % 3 == 1) kill(getppid(), SIGUSR1);
      _exit(i);
    }
    MUST(child > 0 && shared == (i % 3 == 1 ? i + 1000 : i));
    MUST(ending(child) == (i % 3 == 0 ? 19 : i));
  }
  return passed();
}
