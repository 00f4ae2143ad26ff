// What waitid says of exits, kills, stops and continues, and what it leaves to be waited for again.
#include "check.h"

static siginfo_t info;
static int wait_for(idtype_t type, id_t id, int how) {
  memset(&info, 0, sizeof info);
  return waitid(type, id, &info, how);
}

int main(void) {
  int ends[2];
  char byte;
  MUST(pipe(ends) == 0);
  pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    raise(SIGSTOP);
    // A stop takes the news of the continue away: only when it has been told.
    MUST(read(ends[0], &byte, 1) == 1);
    raise(SIGSTOP);
    _exit(77);
  }
  MUST(wait_for(P_PID, child, WSTOPPED | WNOWAIT) == 0);
  MUST(info.si_code == CLD_STOPPED && info.si_status == SIGSTOP && info.si_pid == child);
  MUST(wait_for(P_PGID, child, WSTOPPED) == 0 && info.si_code == CLD_STOPPED);
  MUST(wait_for(P_PID, child, WSTOPPED | WEXITED | WCONTINUED | WNOHANG) == 0 && info.si_pid == 0);
  MUST(kill(child, SIGCONT) == 0);
  MUST(wait_for(P_PID, child, WCONTINUED) == 0);
  MUST(info.si_code == CLD_CONTINUED && info.si_status == SIGCONT);
  MUST(write(ends[1], "x", 1) == 1);
  MUST(wait_for(P_PID, child, WSTOPPED) == 0 && info.si_code == CLD_STOPPED);
  MUST(kill(child, SIGCONT) == 0);
  MUST(wait_for(P_ALL, 0, WEXITED | WNOWAIT) == 0 && info.si_code == CLD_EXITED && info.si_status == 77);
  MUST(wait_for(P_PID, child, WEXITED) == 0 && info.si_status == 77);
  MUST(wait_for(P_PID, child, WEXITED) == -1 && errno == ECHILD);
  child = fork();
  if (child == 0) {
    pause();
    _exit(1);
  }
  MUST(kill(child, SIGKILL) == 0);
  MUST(wait_for(P_PID, child, WEXITED) == 0 && info.si_code == CLD_KILLED && info.si_status == SIGKILL);
  return passed();
}
