// Signals for one thread, for any of the process that lets them in, and masks that threads inherit. pthread_kill(3).
#include "check.h"

static __thread volatile int mine;
static volatile int total;
static void count(int signal) {
  (void)signal;
  mine++;
  __atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST);
}

static volatile int ready, stop;
static void *body(void *open) {
  sigset_t mask;
  MUST(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGUSR2) == 1);
  if (open != NULL) unblock(SIGUSR2);
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  while (!stop) sched_yield();
  return (void *)(intptr_t)mine;
}

int main(void) {
  handle(SIGUSR1, count, SA_RESTART);
  handle(SIGUSR2, count, SA_RESTART);
  block(SIGUSR2);
  pthread_t threads[6];
  for (intptr_t i = 0; i < 6; i++) MUST(pthread_create(&threads[i], NULL, body, (void *)(intptr_t)(i == 5)) == 0);
  while (ready < 6) sched_yield();
  for (int i = 0; i < 100; i++) {
    MUST(pthread_kill(threads[i % 5], SIGUSR1) == 0);
    while (total < 2 * i + 1) sched_yield();
    MUST(kill(getpid(), SIGUSR2) == 0);
    while (total < 2 * i + 2) sched_yield();
  }
  stop = 1;
  for (int i = 0; i < 6; i++) {
    void *got;
    MUST(pthread_join(threads[i], &got) == 0 && (intptr_t)got == (i == 5 ? 100 : 20));
  }
  MUST(mine == 0);
  return passed();
}
