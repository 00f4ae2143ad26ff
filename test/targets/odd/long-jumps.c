// longjmp over many frames, and the registers that a call keeps. setjmp(3).
#include "check.h"
#include <setjmp.h>

static jmp_buf back;
__attribute__((noinline)) static int down(int depth, int value) {
  char text[32];
  if (depth == 0) longjmp(back, value);
  int length = snprintf(text, sizeof text, "%d", depth);
  return depth < 0 ? 0 : down(depth - 1, value) + length;
}

int main(void) {
  for (volatile int i = 1; i < 300; i++) {
    int value = setjmp(back);
    if (value == 0) down(30, i);
    MUST(value == i);
  }
  return passed();
}
