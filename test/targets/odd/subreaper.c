// A grandchild comes to the one who asked for it, and is told of the death of its parent. prctl(2).
#include "check.h"

int main(void) {
  MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  int asked = -1;
  MUST(prctl(PR_GET_CHILD_SUBREAPER, &asked) == 0 && asked == 1);
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  block(SIGUSR2);
  for (int i = 0; i < 10; i++) {
    int pipes[2];
    MUST(pipe(pipes) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
      int ready[2];
      MUST(pipe(ready) == 0);
      pid_t grandchild = fork();
      MUST(grandchild >= 0);
      char byte = 'r';
      if (grandchild == 0) {
        sigset_t told = set_of(SIGUSR2);
        int which = 0, signal = 0;
        MUST(prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0 && prctl(PR_GET_PDEATHSIG, &which) == 0 && which == SIGUSR2);
        MUST(write(ready[1], &byte, 1) == 1);
        MUST(sigwait(&told, &signal) == 0 && signal == SIGUSR2);
        pid_t parent = getppid();
        MUST(write(pipes[1], &parent, sizeof parent) == sizeof parent);
        _exit(33);
      }
      MUST(read(ready[0], &byte, 1) == 1);
      _exit(0);
    }
    pid_t parent;
    MUST(ending(child) == 0 && read(pipes[0], &parent, sizeof parent) == sizeof parent);
    MUST(parent == getpid());
    int status;
    MUST(waitpid(-1, &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 33);
    close(pipes[0]);
    close(pipes[1]);
  }
  return passed();
}
