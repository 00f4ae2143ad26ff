// What stays over an exec and what does not: ignored signals, the mask, pending signals, descriptors. execve(2).
#include "check.h"

int main(int argc, char **argv) {
  if (argc == 1) {
    handle(SIGUSR1, exit, 0);
    handle(SIGUSR2, SIG_IGN, 0);
    block(SIGTERM);
    raise(SIGTERM);
    MUST(dup2(0, 20) == 20 && dup3(0, 21, O_CLOEXEC) == 21);
    char pid[16];
    snprintf(pid, sizeof pid, "%d", getpid());
    char *args[] = {"other name", "30", pid, NULL}, *environment[] = {"ONLY=this", NULL};
    execve("/proc/self/exe", args, environment);
    return 1;
  }
  extern char **environ;
  MUST(argc == 3 && strcmp(argv[0], "other name") == 0 && atoi(argv[2]) == getpid());
  MUST(strcmp(environ[0], "ONLY=this") == 0 && environ[1] == NULL);
  struct sigaction now;
  MUST(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
  MUST(sigaction(SIGUSR2, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
  sigset_t pending, mask;
  MUST(sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1);
  MUST(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGTERM) == 1);
  MUST(fcntl(20, F_GETFD) == 0 && fcntl(21, F_GETFD) == -1);
  int left = atoi(argv[1]);
  if (left > 0) {
    char next[16];
    snprintf(next, sizeof next, "%d", left - 1);
    argv[1] = next;
    execve("/proc/self/exe", argv, environ);
    return 1;
  }
  return passed();
}
