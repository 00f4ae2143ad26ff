// A stack that overflows is handled on another one, again and again. sigaltstack(2).
#include "check.h"
#include <setjmp.h>
#include <sys/resource.h>

static sigjmp_buf back;
static char *alternate;
static size_t size;
static volatile int on_it;

static void overflowed(int signal, siginfo_t *info, void *context) {
  char here;
  stack_t now;
  (void)context;
  on_it += signal == SIGSEGV && info->si_addr != NULL && &here >= alternate && &here < alternate + size;
  if (sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_ONSTACK)) _exit(1);
  siglongjmp(back, 1);
}

static int deeper(int depth) {
  volatile char room[4096];
  room[depth % 4096] = (char)depth;
  if (depth < 0) return 0;
  return deeper(depth + 1) + room[(depth + 1) % 4096];
}

int main(void) {
  struct rlimit limit = {1 << 20, RLIM_INFINITY};
  MUST(getrlimit(RLIMIT_STACK, &limit) == 0);
  limit.rlim_cur = 1 << 20;
  MUST(setrlimit(RLIMIT_STACK, &limit) == 0);
  size = (size_t)SIGSTKSZ * 4;
  alternate = malloc(size);
  stack_t stack = {.ss_sp = alternate, .ss_size = size}, now;
  MUST(sigaltstack(&stack, NULL) == 0);
  handle_info(SIGSEGV, overflowed, SA_ONSTACK);
  for (volatile int i = 0; i < 10; i++)
    if (sigsetjmp(back, 1) == 0) {
      deeper(0);
      return 1;
    }
  MUST(on_it == 10);
  MUST(sigaltstack(NULL, &now) == 0 && now.ss_flags == 0 && now.ss_sp == alternate);
  return passed();
}
