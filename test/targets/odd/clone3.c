// clone3 with a descriptor of the child and a signal of one's own choice at its end. clone(2), pidfd_open(2).
#include "check.h"
#include <linux/sched.h>

static volatile int signals;
static void note(int signal) { signals += signal == SIGUSR1; }

int main(void) {
  handle(SIGUSR1, note, 0);
  for (int i = 0; i < 30; i++) {
    int pidfd = -1;
    pid_t in_child = 0;
    struct clone_args args = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
                              .pidfd = (uintptr_t)&pidfd,
                              .parent_tid = (uintptr_t)&in_child,
                              .exit_signal = SIGUSR1};
    long child = syscall(SYS_clone3, &args, sizeof args);
    if (child == -1 && errno == ENOSYS) return skipped("no clone3");
    if (child == 0) {
      char byte;
      _exit(read(50, &byte, 1) == -1 ? i : 99);
    }
    MUST(child > 0 && in_child == child && pidfd >= 0);
    struct pollfd poller = {pidfd, POLLIN, 0};
    int ready;
    while ((ready = poll(&poller, 1, -1)) == -1 && errno == EINTR) continue;
    MUST(ready == 1);
    siginfo_t info;
    MUST(waitid(P_PIDFD, pidfd, &info, WEXITED | __WALL) == 0 && info.si_status == i);
    MUST(signals == i + 1 && close(pidfd) == 0);
  }
  return passed();
}
