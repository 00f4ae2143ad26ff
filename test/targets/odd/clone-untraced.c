// A child that its maker does not let be traced: it has a copy of the text, and runs it alone. clone(2).
#include "check.h"

int main(void) {
  for (int i = 0; i < 10; i++) {
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) _exit(i);
    MUST(child > 0 && ending(child) == i);
  }
  return passed();
}
