// Tries seccomp filters out. Standard input: for each the number of its instructions (32 bits), the
// instructions, and the six arguments of a call of getppid. Prints what became of the call.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void trapped(int signal) {
  (void)signal;
  static const char said[] = "trap\n";
  if (write(1, said, sizeof said - 1) < 0) _exit(4);
  _exit(0);
}

static void attempt(struct sock_fprog *filter, const uint64_t *args) {
  signal(SIGSYS, trapped);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter) != 0) {
    printf("not accepted: %d\n", errno);
    return;
  }
  errno = 0;
  long result = syscall(SYS_getppid, args[0], args[1], args[2], args[3], args[4], args[5]);
  if (result > 0) printf("allowed\n");
  else printf("errno %d\n", errno);
}

int main(void) {
  uint32_t count;
  while (fread(&count, sizeof count, 1, stdin) == 1) {
    struct sock_filter program[4096];
    uint64_t args[6];
    if (count > 4096 || fread(program, sizeof *program, count, stdin) != count) return 3;
    if (fread(args, sizeof *args, 6, stdin) != 6) return 3;
    struct sock_fprog filter = {(unsigned short)count, program};
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      attempt(&filter, args);
      fflush(stdout);
      _exit(0);
    }
    if (waitpid(child, &status, 0) != child) return 3;
    if (WIFSIGNALED(status)) printf("killed by %d\n", WTERMSIG(status));
  }
  return 0;
}
