// A child made by clone runs the parent's code: in the parent's memory or in a copy of it, as the
// first argument says.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"

__attribute__((noinline, noclone)) int shared_text(int value) {
  __asm__ volatile("" ::: "memory");
  return value + 1;
}

static volatile int waits;

static int child(void *argument) {
  int (*volatile call)(int) = shared_text;
  int sum = 0;
  while (waits) {
    call(0);
    usleep(1000);
  }
  for (int i = 0; i < 1000; i++) sum += call(0);
  (void)argument;
  _exit(sum == 1000 ? 5 : 6);
}

static void go_on(int signal) {
  (void)signal;
  waits = 0;
}

int main(int count, char **words) {
  const char *how = count > 1 ? words[1] : "copy";
  int flags = SIGCHLD;
  if (strcmp(how, "memory") == 0) flags |= CLONE_VM;
  else if (strcmp(how, "vfork") == 0) flags |= CLONE_VM | CLONE_VFORK;
  else if (strcmp(how, "untraced-memory") == 0) flags |= CLONE_VM | CLONE_UNTRACED;
  else if (strcmp(how, "untraced-copy") == 0) flags |= CLONE_UNTRACED;
  else if (strcmp(how, "waiting") == 0) flags |= CLONE_VM;
  waits = strcmp(how, "waiting") == 0;
  int (*volatile call)(int) = shared_text;
  call(0);
  char *stack = malloc(65536);
  int pid = clone(child, stack + 65536, flags, 0);
  if (waits) {
    // Another process in the same memory, until both are told to go on.
    signal(SIGUSR1, go_on);
    raise(SIGSTOP);
    while (waits) {
      call(0);
      usleep(1000);
    }
  }
  int status;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return 3;
  call(0);
  if (WIFSIGNALED(status)) printf("child killed by %d\n", WTERMSIG(status));
  else printf("child exited with %d\n", WEXITSTATUS(status));
  return 0;
}
