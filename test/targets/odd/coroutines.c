// Coroutines: stacks of a program's own, changed 3,000 times, with a mask each. makecontext(3).
#include "check.h"
#include <ucontext.h>

#define COUNT 10
static ucontext_t main_context, contexts[COUNT];
static char stacks[COUNT][65536];
static int turns[COUNT];

static void body(int nth) {
  for (;;) {
    char text[32];
    snprintf(text, sizeof text, "%d", nth);
    turns[atoi(text)]++;
    MUST(swapcontext(&contexts[nth], &main_context) == 0);
  }
}

int main(void) {
  for (volatile int i = 0; i < COUNT; i++) {
    MUST(getcontext(&contexts[i]) == 0);
    contexts[i].uc_stack.ss_sp = stacks[i];
    contexts[i].uc_stack.ss_size = sizeof stacks[i];
    if (i % 2) sigaddset(&contexts[i].uc_sigmask, SIGUSR1);
    makecontext(&contexts[i], (void (*)(void))(uintptr_t)body, 1, i);
  }
  for (int i = 0; i < 3000; i++) MUST(swapcontext(&main_context, &contexts[i * 7 % COUNT]) == 0);
  for (int i = 0; i < COUNT; i++) MUST(turns[i] == 300);
  return passed();
}
