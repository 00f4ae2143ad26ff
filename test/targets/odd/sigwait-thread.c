// A thread waits for a signal of the process while the others block it; sigtimedwait ends in time.
#include "check.h"

static void *waiter(void *sum) {
  sigset_t set = set_of(SIGUSR1);
  for (int i = 0; i < 100; i++) {
    siginfo_t info;
    MUST(sigwaitinfo(&set, &info) == SIGUSR1);
    *(int *)sum += info.si_value.sival_int;
    union sigval back = {.sival_int = i};
    MUST(sigqueue(getpid(), SIGUSR2, back) == 0);
  }
  return NULL;
}

int main(void) {
  block(SIGUSR1);
  block(SIGUSR2);
  pthread_t thread;
  int sum = 0;
  MUST(pthread_create(&thread, NULL, waiter, &sum) == 0);
  sigset_t set = set_of(SIGUSR2);
  for (int i = 0; i < 100; i++) {
    MUST(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = i}) == 0);
    siginfo_t info;
    MUST(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_value.sival_int == i);
  }
  MUST(pthread_join(thread, NULL) == 0 && sum == 4950);
  struct timespec short_time = {0, 20000000}, from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  MUST(sigtimedwait(&set, NULL, &short_time) == -1 && errno == EAGAIN);
  clock_gettime(CLOCK_MONOTONIC, &to);
  MUST((to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec >= 20000000);
  return passed();
}
