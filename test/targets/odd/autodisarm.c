// An alternate stack that is disarmed while a handler is on it, and armed again when it returns. sigaltstack(2).
#include "check.h"
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char stack[64 * 1024];
static volatile int calls;

static void inside(int signal) {
  (void)signal;
  stack_t now;
  char here;
  MUST(&here >= stack && &here < stack + sizeof stack);
  MUST(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
  calls++;
}

int main(void) {
  stack_t given = {.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = (int)SS_AUTODISARM}, now;
  MUST(sigaltstack(&given, NULL) == 0);
  handle(SIGUSR1, inside, SA_ONSTACK);
  handle(SIGTRAP, inside, SA_ONSTACK);
  for (int i = 0; i < 50; i++) {
    raise(i % 2 == 0 ? SIGUSR1 : SIGTRAP);
    MUST(sigaltstack(NULL, &now) == 0);
    MUST(now.ss_sp == stack && now.ss_size == sizeof stack && (unsigned)now.ss_flags == SS_AUTODISARM);
  }
  MUST(calls == 50);
  return passed();
}
