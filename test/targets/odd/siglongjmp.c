// 2,000 faults, left by siglongjmp, which puts the mask back. sigsetjmp(3).
#include "check.h"
#include <setjmp.h>

static sigjmp_buf back;
static volatile int faults;
static char *page;

static void fault(int signal, siginfo_t *info, void *context) {
  (void)context;
  faults += signal == SIGSEGV && info->si_code == SEGV_ACCERR && info->si_addr == page + faults % 4096;
  siglongjmp(back, 1);
}

int main(void) {
  page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(page != MAP_FAILED);
  handle_info(SIGSEGV, fault, 0);
  sigset_t mask;
  for (volatile int i = 0; i < 2000; i++) {
    if (sigsetjmp(back, 1) == 0) {
      page[i % 4096] = 1;
      return 1;
    }
    MUST(faults == i + 1);
    MUST(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && !sigismember(&mask, SIGSEGV));
  }
  return passed();
}
