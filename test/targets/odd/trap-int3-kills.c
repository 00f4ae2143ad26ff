// An int3 kills a program that ignores or blocks SIGTRAP: what the processor raises is delivered. signal(7).
#include "check.h"

static int child_of(void (*body)(void)) {
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    body();
    _exit(0);
  }
  return ending(child);
}

static void ignored_int3(void) {
  signal(SIGTRAP, SIG_IGN);
  __asm__ volatile("int3");
}
static void blocked_int3(void) {
  block(SIGTRAP);
  __asm__ volatile("int3");
}

int main(void) {
  MUST(child_of(blocked_int3) == 128 + SIGTRAP);
  MUST(child_of(ignored_int3) == 128 + SIGTRAP);
  return passed();
}
