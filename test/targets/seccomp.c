// A program that forbids itself to change its memory, in the way its first argument names, and then
// runs an instruction that can only be executed out of line after a probe on it.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "output.h"

long needs_slot(void);
__asm__(".globl needs_slot\n.type needs_slot, @function\nneeds_slot:\n"
        "  pxor %xmm0, %xmm0\n  mov $1, %eax\n  ret\n.size needs_slot, . - needs_slot\n");

static void forbid(unsigned action) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, action),
  };
  struct sock_fprog filter = {sizeof program / sizeof *program, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    syscall(SYS_exit_group, 3);
}

static void restrict_as(const char *how) {
  if (strcmp(how, "kill") == 0) forbid(SECCOMP_RET_KILL_PROCESS);
  else if (strcmp(how, "errno") == 0) forbid(SECCOMP_RET_ERRNO | 1);
  else if (strcmp(how, "trap") == 0) forbid(SECCOMP_RET_TRAP);
  else if (strcmp(how, "allow") == 0) forbid(SECCOMP_RET_ALLOW);
  else if (strcmp(how, "strict") == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) syscall(SYS_exit_group, 3);
}

int main(int count, char **words) {
  const char *how = count > 1 ? words[1] : "none";
  if (count > 2 && (strcmp(words[2], "late") == 0 || strcmp(words[2], "early") == 0)) {
    raise(SIGSTOP);
    // Late, a slot can be mapped before the filter comes.
    if (strcmp(words[2], "late") == 0) needs_slot();
    restrict_as(how);
    for (int i = 0; i < 10000; i++) {
      needs_slot();
      for (volatile int spent = 0; spent < 200000; spent++) continue;
    }
    syscall(SYS_exit, 7);
  }
  char line[] = "through 5 times\n";
  restrict_as(how);
  long times = 0;
  for (int i = 0; i < 5; i++) times += needs_slot();
  line[8] = (char)('0' + times);
  write(1, line, sizeof line - 1);
  syscall(SYS_exit, 0);
}
