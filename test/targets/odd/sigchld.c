// SIGCHLD with what became of the child; SA_NOCLDSTOP and SA_NOCLDWAIT. sigaction(2).
#include "check.h"

static volatile int count, code, status;
static volatile pid_t whose;
static void note(int signal, siginfo_t *info, void *context) {
  (void)context;
  count += signal == SIGCHLD;
  code = info->si_code;
  status = info->si_status;
  whose = info->si_pid;
}

static void until(int wanted) {
  sigset_t none;
  sigemptyset(&none);
  while (count < wanted) sigsuspend(&none);
  MUST(count == wanted);
}

static pid_t stopper(void) {
  pid_t child = fork();
  if (child == 0) {
    raise(SIGSTOP);
    _exit(5);
  }
  return child;
}

int main(void) {
  block(SIGCHLD);
  handle_info(SIGCHLD, note, 0);
  pid_t child = stopper();
  until(1);
  MUST(code == CLD_STOPPED && status == SIGSTOP && whose == child);
  kill(child, SIGCONT);
  while (count < 3 && code != CLD_EXITED) {
    sigset_t none;
    sigemptyset(&none);
    sigsuspend(&none);
  }
  MUST(code == CLD_EXITED && status == 5 && whose == child && ending(child) == 5);
  count = 0;
  handle_info(SIGCHLD, note, SA_NOCLDSTOP);
  child = stopper();
  siginfo_t info;
  MUST(waitid(P_PID, child, &info, WSTOPPED) == 0);
  MUST(count == 0);
  kill(child, SIGCONT);
  until(1);
  MUST(code == CLD_EXITED && ending(child) == 5);
  handle_info(SIGCHLD, note, SA_NOCLDWAIT);
  for (int i = 0; i < 20; i++)
    if ((child = fork()) == 0) _exit(i);
  MUST(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
  return passed();
}
