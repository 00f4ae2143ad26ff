// All threads of a process change their user together. setresuid(2).
#include "check.h"

static volatile int stage, seen;
static void *body(void *unused) {
  while (stage == 0) sched_yield();
  MUST(geteuid() == 65534);
  __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
  while (stage == 1) sched_yield();
  MUST(geteuid() == 0);
  return unused;
}

int main(void) {
  if (geteuid() != 0) return skipped("not root");
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) MUST(pthread_create(&threads[i], NULL, body, NULL) == 0);
  MUST(setresuid(-1, 65534, -1) == 0);
  stage = 1;
  while (seen < 4) sched_yield();
  MUST(setresuid(-1, 0, -1) == 0);
  stage = 2;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  return passed();
}
