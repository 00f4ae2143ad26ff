// Processes by descriptor: signalled, polled, and their descriptors taken. pidfd_open(2).
#include "check.h"

int main(void) {
  for (int i = 0; i < 20; i++) {
    pid_t child = fork();
    if (child == 0)
      for (;;) pause();
    int file = (int)syscall(SYS_pidfd_open, child, 0);
    if (file < 0 && errno == ENOSYS) return skipped("no pidfd_open");
    struct pollfd poller = {file, POLLIN, 0};
    MUST(file >= 0 && poll(&poller, 1, 0) == 0);
    MUST(syscall(SYS_pidfd_send_signal, file, SIGTERM, NULL, 0) == 0);
    MUST(poll(&poller, 1, -1) == 1 && ending(child) == 128 + SIGTERM);
    MUST(syscall(SYS_pidfd_send_signal, file, 0, NULL, 0) == -1 && errno == ESRCH && close(file) == 0);
  }
  return passed();
}
