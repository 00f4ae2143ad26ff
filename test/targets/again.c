// Takes three steps and executes itself again, as often as its first argument says; then, if it has
// a second one, that program.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "output.h"

__attribute__((noinline)) long step(long x) {
  __asm__ volatile(".globl the_step\nthe_step: add $1,%0" : "+r"(x) : : "cc");
  return x;
}

int main(int count, char **words) {
  int left = atoi(words[1]);
  long sum = 0;
  char number[16];
  for (int i = 0; i < 3; i++) sum += step(i);
  if (left > 0) {
    snprintf(number, sizeof number, "%d", left - 1);
    words[1] = number;
    execv("/proc/self/exe", words);
  }
  if (count > 2 && words[2][0] != '>') execv(words[2], words + 2);
  printf("sum %ld\n", sum);
  return 0;
}
