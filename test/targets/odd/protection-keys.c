// Memory that a key protects: a thread's own right to it, and what a fault says. pkeys(7).
#include "check.h"
#include <setjmp.h>

static sigjmp_buf back;
static volatile int faults, key;
static void fault(int signal, siginfo_t *info, void *context) {
  (void)context;
  faults += signal == SIGSEGV && info->si_code == SEGV_PKUERR && (int)info->si_pkey == key;
  siglongjmp(back, 1);
}

int main(void) {
  key = pkey_alloc(0, 0);
  if (key < 0) return skipped("no memory protection keys");
  volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(pkey_mprotect((void *)page, 4096, PROT_READ | PROT_WRITE, key) == 0);
  handle_info(SIGSEGV, fault, 0);
  for (volatile int i = 0; i < 50; i++) {
    page[0] = 1;
    MUST(pkey_set(key, PKEY_DISABLE_ACCESS) == 0);
    if (sigsetjmp(back, 1) == 0) {
      (void)page[0];
      return 1;
    }
    MUST(pkey_set(key, PKEY_DISABLE_WRITE) == 0 && page[0] == 1);
    if (sigsetjmp(back, 1) == 0) {
      page[0] = 2;
      return 1;
    }
    MUST(pkey_set(key, 0) == 0 && faults == 2 * i + 2);
  }
  return passed();
}
