// The bases of the segment registers are a thread's own. arch_prctl(2).
#include "check.h"
#include <asm/prctl.h>

static void *body(void *nth) {
  unsigned long area[2] = {(unsigned long)nth * 1000, 0}, base, value;
  MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, area) == 0);
  for (int i = 0; i < 100; i++) {
    __asm__ volatile("mov %%gs:0, %0" : "=r"(value)::"memory");
    MUST(value == (unsigned long)nth * 1000);
    if (i % 10 == 0) sched_yield();
  }
  MUST(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0 && base == (unsigned long)area);
  return nth;
}

int main(void) {
  pthread_t threads[4];
  for (unsigned long i = 0; i < 4; i++) MUST(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
  for (int i = 0; i < 4; i++) MUST(pthread_join(threads[i], NULL) == 0);
  return passed();
}
