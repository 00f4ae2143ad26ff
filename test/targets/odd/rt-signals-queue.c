// Real-time signals queue: the lowest number first, each number first in first out. signal(7).
#include "check.h"

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < 3; i++) sigaddset(&set, SIGRTMIN + i);
  MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  for (int value = 0; value < 30; value++)
    MUST(sigqueue(getpid(), SIGRTMIN + 2 - value % 3, (union sigval){.sival_int = value}) == 0);
  for (int i = 0; i < 3; i++)
    for (int nth = 0; nth < 10; nth++) {
      siginfo_t info;
      MUST(sigwaitinfo(&set, &info) == SIGRTMIN + i);
      MUST(info.si_code == SI_QUEUE && info.si_pid == getpid());
      MUST(info.si_value.sival_int == nth * 3 + 2 - i);
    }
  struct timespec none = {0, 0};
  MUST(sigtimedwait(&set, NULL, &none) == -1 && errno == EAGAIN);
  return passed();
}
