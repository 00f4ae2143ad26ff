// Signals read from a descriptor, with who sent them and what. signalfd(2).
#include "check.h"
#include <sys/signalfd.h>

int main(void) {
  sigset_t set = set_of(SIGRTMIN);
  sigaddset(&set, SIGCHLD);
  MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  int file = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  MUST(file >= 0);
  struct signalfd_siginfo info;
  MUST(read(file, &info, sizeof info) == -1 && errno == EAGAIN);
  for (int i = 0; i < 20; i++) MUST(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}) == 0);
  for (int i = 0; i < 20; i++) {
    MUST(read(file, &info, sizeof info) == sizeof info);
    MUST((int)info.ssi_signo == SIGRTMIN && info.ssi_int == i && (pid_t)info.ssi_pid == getpid());
  }
  pid_t child = fork();
  if (child == 0) _exit(9);
  struct pollfd poller = {file, POLLIN, 0};
  MUST(poll(&poller, 1, -1) == 1);
  MUST(read(file, &info, sizeof info) == sizeof info);
  MUST(info.ssi_signo == SIGCHLD && info.ssi_code == CLD_EXITED && info.ssi_status == 9);
  MUST((pid_t)info.ssi_pid == child && ending(child) == 9);
  return passed();
}
