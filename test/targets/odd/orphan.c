// Orphans go to the subreaper; a child is signalled when its parent dies. prctl(2).
#include "check.h"

int main(void) {
  MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  int ends[2];
  MUST(pipe(ends) == 0);
  pid_t parent = getpid(), middle = fork();
  if (middle == 0) {
    pid_t orphan = fork();
    if (orphan == 0) {
      while (getppid() != parent) sched_yield();
      MUST(write(ends[1], "x", 1) == 1);
      _exit(33);
    }
    _exit(0);
  }
  char byte;
  MUST(ending(middle) == 0 && read(ends[0], &byte, 1) == 1);
  int status;
  MUST(wait(&status) > 0 && WEXITSTATUS(status) == 33);
  middle = fork();
  if (middle == 0) {
    pid_t orphan = fork();
    if (orphan == 0) {
      block(SIGUSR1);
      MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
      MUST(write(ends[1], "y", 1) == 1);
      sigset_t set = set_of(SIGUSR1);
      int got;
      MUST(sigwait(&set, &got) == 0 && got == SIGUSR1 && getppid() == parent);
      _exit(44);
    }
    MUST(read(ends[0], &byte, 1) == 1);
    _exit(0);
  }
  MUST(ending(middle) == 0);
  MUST(wait(&status) > 0 && WEXITSTATUS(status) == 44);
  return passed();
}
