// A sleep that was stopped and continued takes its time and no more; nothing fails with EINTR.
#include "check.h"

int main(void) {
  pid_t child = fork();
  if (child == 0) {
    struct timespec from, to, time = {0, 300000000};
    clock_gettime(CLOCK_MONOTONIC, &from);
    MUST(nanosleep(&time, NULL) == 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    long ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
    _exit(ms >= 300 ? 0 : 1);
  }
  for (int i = 0; i < 5; i++) {
    int status;
    until_state(child, "S");
    MUST(kill(child, SIGSTOP) == 0);
    MUST(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    MUST(kill(child, SIGCONT) == 0);
    MUST(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
  }
  MUST(ending(child) == 0);
  return passed();
}
