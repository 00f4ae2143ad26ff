// Threads that fork at the same time, while others allocate. fork(2), pthread_atfork(3).
#include "check.h"

static volatile int done;
static void *forker(void *nth) {
  for (int i = 0; i < 15; i++) {
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
      char *text = malloc(100);
      snprintf(text, 100, "%d", i);
      _exit(atoi(text) + (int)(intptr_t)nth);
    }
    MUST(ending(child) == i + (int)(intptr_t)nth);
  }
  return NULL;
}

static void *allocator(void *unused) {
  while (!done) free(malloc(64));
  return unused;
}

int main(void) {
  pthread_t threads[4], other;
  MUST(pthread_create(&other, NULL, allocator, NULL) == 0);
  for (int i = 0; i < 4; i++) MUST(pthread_create(&threads[i], NULL, forker, (void *)(intptr_t)(i * 20)) == 0);
  for (int i = 0; i < 4; i++) MUST(pthread_join(threads[i], NULL) == 0);
  done = 1;
  MUST(pthread_join(other, NULL) == 0);
  return passed();
}
