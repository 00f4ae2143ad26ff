// Threads made without the thread library; their end is a futex that the kernel wakes. clone(2).
#include "check.h"
#include <linux/futex.h>

#define STACK 65536
static char stacks[4][STACK] __attribute__((aligned(16)));
static volatile int sum;
static pid_t ids[4];

static int body(void *value) {
  for (int i = 0; i < 100; i++) {
    __atomic_add_fetch(&sum, (int)(intptr_t)value, __ATOMIC_SEQ_CST);
    syscall(SYS_gettid);
  }
  syscall(SYS_exit, 0);
  return 0;
}

int main(void) {
  int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
              CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 4; i++)
      MUST(clone(body, stacks[i] + STACK, flags, (void *)(intptr_t)(i + 1), &ids[i], NULL, &ids[i]) > 0);
    for (int i = 0; i < 4; i++)
      for (pid_t id; (id = __atomic_load_n(&ids[i], __ATOMIC_SEQ_CST)) != 0;)
        syscall(SYS_futex, &ids[i], FUTEX_WAIT, id, NULL, NULL, 0);
    MUST(sum == (round + 1) * 1000);
  }
  return passed();
}
