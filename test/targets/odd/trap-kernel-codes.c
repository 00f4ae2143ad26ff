// SIGTRAP that a program sends itself with codes that only the kernel uses. rt_sigqueueinfo(2).
#include "check.h"

static volatile int got, code;
static void note(int signal, siginfo_t *info, void *context) {
  (void)context;
  got = signal;
  code = info->si_code;
}

static void send(int signal, int with) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_signo = signal;
  info.si_code = with;
  info.si_addr = (void *)0x1234;
  got = code = 0;
  MUST(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signal, &info) == 0);
  MUST(got == signal && code == with);
  got = code = 0;
  MUST(syscall(SYS_rt_sigqueueinfo, getpid(), signal, &info) == 0);
  MUST(got == signal && code == with);
}

int main(void) {
  int signals[] = {SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
    handle_info(signals[i], note, 0);
    for (int with = 1; with < 7; with++) send(signals[i], with);
    send(signals[i], SI_KERNEL);
    send(signals[i], SI_QUEUE);
    send(signals[i], SI_USER);
    send(signals[i], -77);
  }
  return passed();
}
