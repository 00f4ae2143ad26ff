// Strict mode: read, write and exit only. seccomp(2).
#include "check.h"
#include <linux/seccomp.h>

static pid_t strict(int call) {
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    for (int i = 0; i < 20; i++) write(1, "", 0);
    char text[32];
    memset(text, 7, sizeof text);
    if (strnlen(text, sizeof text) != sizeof text) syscall(SYS_exit, 2);
    syscall(call, 5);
    syscall(SYS_exit, 6);
  }
  return child;
}

int main(void) {
  MUST(ending(strict(SYS_exit)) == 5);
  MUST(ending(strict(SYS_getpid)) == 128 + SIGKILL);
  MUST(ending(strict(SYS_mmap)) == 128 + SIGKILL);
  return passed();
}
