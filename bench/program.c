/* What is probed. Usage: program hits CALLS THREADS | program start
 * hits: calls f() so often, spread over the threads, and prints the nanoseconds that a call took.
 * start: prints the time of day at the beginning of main, microseconds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile long calls;

__attribute__((noinline)) void f(const char *text) {
  (void)text;
  calls = calls + 1;
}

static void *many(void *count) {
  for (long left = (long)count; left > 0; left--) f("a string of some length, as programs have them");
  return NULL;
}

static long long now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "start") == 0) {
    printf("%lld\n", now(CLOCK_REALTIME) / 1000);
    return 0;
  }
  if (argc != 4) return 2;
  long count = atol(argv[2]), threads = atol(argv[3]);
  pthread_t thread[64];
  if (threads < 1 || threads > 64) return 2;
  long long start = now(CLOCK_MONOTONIC);
  if (threads == 1) {
    many((void *)count);
  } else {
    for (long i = 0; i < threads; i++) pthread_create(&thread[i], NULL, many, (void *)(count / threads));
    for (long i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  }
  printf("%.1f\n", (double)(now(CLOCK_MONOTONIC) - start) / count);
  return 0;
}
