// Priorities and processors are inherited and read back. sched(7).
#include "check.h"
#include <sys/resource.h>

int main(void) {
  MUST(sched_getscheduler(0) == SCHED_OTHER);
  cpu_set_t all, one, now;
  MUST(sched_getaffinity(0, sizeof all, &all) == 0 && CPU_COUNT(&all) == sysconf(_SC_NPROCESSORS_ONLN));
  int before = getpriority(PRIO_PROCESS, 0);
  MUST(nice(3) == before + 3 && getpriority(PRIO_PROCESS, 0) == before + 3);
  for (int i = 0; i < CPU_COUNT(&all); i++) {
    CPU_ZERO(&one);
    CPU_SET(i, &one);
    if (!CPU_ISSET(i, &all)) continue;
    MUST(sched_setaffinity(0, sizeof one, &one) == 0 && sched_getcpu() == i);
    pid_t child = fork();
    if (child == 0) {
      MUST(sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &one) && sched_getcpu() == i);
      _exit(getpriority(PRIO_PROCESS, 0) == before + 3 ? 0 : 1);
    }
    MUST(ending(child) == 0);
  }
  struct sched_param none = {0};
  MUST(sched_setscheduler(0, SCHED_BATCH, &none) == 0 && sched_getscheduler(0) == SCHED_BATCH);
  MUST(sched_setscheduler(0, SCHED_IDLE, &none) == 0 && sched_getscheduler(0) == SCHED_IDLE);
  return passed();
}
