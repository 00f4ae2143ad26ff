// Threads are cancelled in a read, in a computation, and not where they forbid it. pthread_cancel(3).
#include "check.h"

static int ends[2];
static volatile int cleaned, stage;
static void cleanup(void *amount) { cleaned += (int)(intptr_t)amount; }

static void *reads(void *unused) {
  char byte;
  pthread_cleanup_push(cleanup, (void *)1);
  stage = 1;
  MUST(read(ends[0], &byte, 1) == 1);
  pthread_cleanup_pop(0);
  return unused;
}
static void *computes(void *unused) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  pthread_cleanup_push(cleanup, (void *)100);
  stage = 1;
  for (;;) __asm__ volatile("pause");
  pthread_cleanup_pop(0);
  return unused;
}
static void *forbids(void *unused) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  stage = 1;
  while (stage != 2) sched_yield();
  pthread_testcancel();
  return unused;
}

int main(void) {
  MUST(pipe(ends) == 0);
  void *result;
  pthread_t thread;
  for (int i = 0; i < 20; i++) {
    void *(*bodies[])(void *) = {reads, computes, forbids};
    for (int kind = 0; kind < 3; kind++) {
      stage = 0;
      MUST(pthread_create(&thread, NULL, bodies[kind], NULL) == 0);
      while (stage != 1) sched_yield();
      MUST(pthread_cancel(thread) == 0);
      stage = 2;
      MUST(pthread_join(thread, &result) == 0 && result == (kind == 2 ? NULL : PTHREAD_CANCELED));
    }
  }
  MUST(cleaned == 20 * 101);
  return passed();
}
