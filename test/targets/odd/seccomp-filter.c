// A filter that kills mmap, refuses some calls by number, and sends SIGSYS for others. seccomp(2).
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <ucontext.h>

static volatile int emulated;
static void no_such_call(int signal, siginfo_t *info, void *context) {
  ucontext_t *state = context;
  MUST(signal == SIGSYS && info->si_code == 1 && info->si_syscall == SYS_getppid);
  state->uc_mcontext.gregs[REG_RAX] = 4242;
  emulated++;
}

#define LOAD BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define IF(number, action)                                  \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),        \
      BPF_STMT(BPF_RET | BPF_K, action)

static void install(void) {
  struct sock_filter filter[] = {LOAD,
                                 IF(SYS_mmap, SECCOMP_RET_KILL_PROCESS),
                                 IF(SYS_munmap, SECCOMP_RET_KILL_PROCESS),
                                 IF(SYS_mprotect, SECCOMP_RET_KILL_PROCESS),
                                 IF(SYS_rt_sigaction, SECCOMP_RET_KILL_PROCESS),
                                 IF(SYS_restart_syscall, SECCOMP_RET_KILL_PROCESS),
                                 IF(SYS_getuid, SECCOMP_RET_ERRNO | EXDEV),
                                 IF(SYS_getppid, SECCOMP_RET_TRAP),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

int main(void) {
  handle_info(SIGSYS, no_such_call, 0);
  pid_t child = fork();
  if (child == 0) {
    install();
    for (int i = 0; i < 50; i++) {
      MUST(getppid() == 4242);
      MUST(syscall(SYS_getuid) == -1 && errno == EXDEV);
    }
    char text[64];
    snprintf(text, sizeof text, "%d", emulated);
    MUST(strcmp(text, "50") == 0);
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    _exit(1);
  }
  MUST(ending(child) == 128 + SIGSYS);
  // And in the process itself, to its end.
  install();
  MUST(getppid() == 4242 && emulated == 1);
  return passed();
}
