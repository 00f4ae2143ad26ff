// An int3 kills a program that ignores SIGTRAP: what the processor raises cannot be ignored. signal(7).
#include "../check.h"

int main(void) {
  pid_t child = fork();
  if (child == 0) {
    signal(SIGTRAP, SIG_IGN);
    __asm__ volatile("int3");
    _exit(0);
  }
  MUST(ending(child) == 128 + SIGTRAP);
  return passed();
}
