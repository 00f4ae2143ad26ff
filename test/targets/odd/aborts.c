// abort, with a handler that returns, with one that jumps away, and ignored. abort(3).
#include "check.h"
#include <setjmp.h>
#include <sys/resource.h>

static sigjmp_buf back;
static void returns(int signal) { (void)signal; }
static void jumps(int signal) { siglongjmp(back, signal); }

int main(void) {
  struct rlimit none = {0, 0};
  MUST(setrlimit(RLIMIT_CORE, &none) == 0);
  void (*handlers[])(int) = {SIG_DFL, SIG_IGN, returns};
  for (int i = 0; i < 3; i++) {
    pid_t child = fork();
    if (child == 0) {
      signal(SIGABRT, handlers[i]);
      abort();
    }
    MUST(ending(child) == 128 + SIGABRT);
  }
  handle(SIGABRT, jumps, 0);
  pid_t child = fork();
  if (child == 0) {
    if (sigsetjmp(back, 1) == 0) abort();
    _exit(17);
  }
  MUST(ending(child) == 17);
  return passed();
}
