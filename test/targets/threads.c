// 64 threads through one instruction, ROUNDS times each; every pass is counted by the program too.
#include <pthread.h>
#include <stdlib.h>
#include "output.h"

#define THREADS 64

static int rounds = 200;
static long passes[THREADS];

__attribute__((noinline)) void pass(long *counter) {
  __asm__ volatile(".globl the_pass\n.type the_pass, @function\nthe_pass: incq (%0)" : : "r"(counter) : "memory", "cc");
}

__attribute__((noinline)) long leaf(long x) { __asm__ volatile("" : "+r"(x)); return x + 1; }

static void *run(void *counter) {
  long x = 0;
  for (int i = 0; i < rounds; i++) {
    pass(counter);
    x = leaf(x);
  }
  return (void *)x;
}

int main(int count, char **words) {
  pthread_t threads[THREADS];
  long sum = 0, total = 0;
  if (count > 1 && words[1][0] != '>') rounds = atoi(words[1]);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, run, &passes[i]);
  for (int i = 0; i < THREADS; i++) {
    void *x;
    pthread_join(threads[i], &x);
    total += (long)x;
    sum += passes[i];
  }
  printf("passes %ld leaves %ld\n", sum, total);
  return 0;
}
