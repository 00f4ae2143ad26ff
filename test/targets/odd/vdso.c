// Times of the vDSO and of the vsyscall page agree with the kernel's. vdso(7).
#include "check.h"

static int between(struct timespec low, struct timespec time, struct timespec high) {
  long long a = low.tv_sec * 1000000000LL + low.tv_nsec, b = time.tv_sec * 1000000000LL + time.tv_nsec;
  return a <= b && b <= high.tv_sec * 1000000000LL + high.tv_nsec;
}

int main(void) {
  int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
  for (int i = 0; i < 500; i++) {
    struct timespec low, time, high;
    MUST(syscall(SYS_clock_gettime, clocks[i % 5], &low) == 0 && clock_gettime(clocks[i % 5], &time) == 0);
    MUST(syscall(SYS_clock_gettime, clocks[i % 5], &high) == 0 && between(low, time, high));
  }
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  int there = 0;
  while (fgets(line, sizeof line, maps) != NULL) there += strstr(line, "[vsyscall]") != NULL;
  fclose(maps);
  if (there) {
    time_t (*old_time)(time_t *) = (time_t (*)(time_t *))0xffffffffff600400;
    for (int i = 0; i < 50; i++) {
      time_t before = syscall(SYS_time, NULL), now = old_time(NULL);
      MUST(now >= before && now <= syscall(SYS_time, NULL));
    }
  }
  return passed();
}
