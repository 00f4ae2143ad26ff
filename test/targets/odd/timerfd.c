// A periodic timer counts what was missed, and poll wakes for it. timerfd_create(2).
#include "check.h"
#include <sys/timerfd.h>

int main(void) {
  int file = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  MUST(file >= 0);
  struct itimerspec every = {.it_interval = {0, 2000000}, .it_value = {0, 2000000}}, left;
  MUST(timerfd_settime(file, 0, &every, NULL) == 0);
  uint64_t sum = 0, count;
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  while (sum < 50) {
    struct pollfd poller = {file, POLLIN, 0};
    MUST(poll(&poller, 1, -1) == 1);
    MUST(read(file, &count, sizeof count) == sizeof count && count > 0);
    sum += count;
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  MUST((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >= 95);
  MUST(timerfd_gettime(file, &left) == 0 && left.it_interval.tv_nsec == 2000000);
  return passed();
}
