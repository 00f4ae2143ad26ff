// A process that is number 1 of a namespace of its own. pid_namespaces(7).
#include "check.h"

int main(void) {
  pid_t maker = fork();
  if (maker == 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) _exit(90);
    pid_t first = fork();
    if (first == 0) {
      MUST(getpid() == 1 && getppid() == 0);
      for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0) _exit(getpid() == i + 2 && getppid() == 1 ? 30 + i : 1);
        MUST(child == i + 2 && ending(child) == 30 + i);
      }
      raise(SIGTERM);
      _exit(3);
    }
    _exit(ending(first));
  }
  int end = ending(maker);
  if (end == 90) return skipped("no namespaces");
  MUST(end == 3);
  return passed();
}
