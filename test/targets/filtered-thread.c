// One thread under a seccomp filter that kills for mmap runs what needs a slot; the other is under none.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

long needs_slot(void);
__asm__(".globl needs_slot\n.type needs_slot, @function\nneeds_slot:\n"
        "  pxor %xmm0, %xmm0\n  mov $1, %eax\n  ret\n.size needs_slot, . - needs_slot\n");

static void *filtered(void *argument) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog filter = {sizeof program / sizeof *program, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    _exit(3);
  raise(SIGSTOP);
  for (int i = 0; i < 1000; i++) {
    if (needs_slot() != 1) _exit(4);
    usleep(500);
  }
  _exit(7);
  return argument;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, filtered, NULL);
  for (;;) pause();
}
