// What a program finds at its start: arguments, auxiliary vector, mask, dispositions, alternate stack. getauxval(3).
#include "check.h"
#include <elf.h>
#include <sys/auxv.h>

extern char __executable_start[];

int main(int argc, char **argv) {
  MUST(argc == 1 && strcmp((char *)getauxval(AT_EXECFN), argv[0]) == 0);
  MUST(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_SECURE) == 0 && getauxval(AT_BASE) != 0);
  MUST(getauxval(AT_PHDR) == (uintptr_t)__executable_start + ((Elf64_Ehdr *)__executable_start)->e_phoff);
  MUST(getauxval(AT_RANDOM) != 0 && getauxval(AT_SYSINFO_EHDR) != 0 && getauxval(AT_UID) == getuid());
  MUST(getenv("LD_PRELOAD") == NULL && getenv("LD_AUDIT") == NULL && getenv("LD_BIND_NOW") == NULL);
  sigset_t mask, pending;
  MUST(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigpending(&pending) == 0);
  for (int signal = 1; signal < 32; signal++) {
    struct sigaction now;
    MUST(!sigismember(&mask, signal) && !sigismember(&pending, signal));
    if (signal == SIGPIPE) continue; // As who started us has it.
    MUST(sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
  }
  stack_t stack;
  MUST(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
  struct itimerval timer;
  MUST(getitimer(ITIMER_REAL, &timer) == 0 && timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0);
  MUST(umask(022) != (mode_t)-1);
  return passed();
}
