// Traces a child of its own, which has a tracer already: us.
#include "../check.h"
#include <sys/ptrace.h>

int main(void) {
  pid_t child = fork();
  if (child == 0) {
    raise(SIGSTOP);
    _exit(12);
  }
  int status;
  MUST(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
  long seized = ptrace(PTRACE_SEIZE, child, 0, 0);
  MUST(kill(child, SIGKILL) == 0 && ending(child) == 128 + SIGKILL);
  MUST(seized == 0);
  return passed();
}
