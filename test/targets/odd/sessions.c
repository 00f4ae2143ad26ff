// Sessions and groups; the members of a stopped group that is orphaned get SIGHUP and SIGCONT. setpgid(2).
#include "check.h"

static volatile sig_atomic_t hung_up, continued;
static void note(int signal) {
  if (signal == SIGHUP) hung_up = 1;
  if (signal == SIGCONT) continued = 1;
}

int main(void) {
  int ends[2];
  MUST(pipe(ends) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  pid_t leader = fork();
  if (leader == 0) {
    MUST(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
    MUST(setsid() == -1 && errno == EPERM);
    MUST(setpgid(0, 0) == -1 && errno == EPERM);
    pid_t member = fork();
    if (member == 0) {
      MUST(setpgid(0, 0) == 0 && getpgid(0) == getpid());
      handle(SIGHUP, note, 0);
      handle(SIGCONT, note, 0);
      raise(SIGSTOP);
      MUST(hung_up && continued);
      _exit(21);
    }
    int status;
    MUST(waitpid(member, &status, WUNTRACED) == member && WIFSTOPPED(status));
    MUST(write(ends[1], &member, sizeof member) == sizeof member);
    _exit(0);
  }
  pid_t member;
  MUST(ending(leader) == 0 && read(ends[0], &member, sizeof member) == sizeof member);
  MUST(ending(member) == 21);
  return passed();
}
