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

static int child(void *argument) {
  int (*volatile call)(int) = shared_text;
  int sum = 0;
  for (int i = 0; i < 1000; i++) sum += call(0);
  (void)argument;
  _exit(sum == 1000 ? 5 : 6);
}

int main(int count, char **words) {
  const char *how = count > 1 ? words[1] : "copy";
  int flags = SIGCHLD;
  if (strcmp(how, "memory") == 0) flags |= CLONE_VM;
  else if (strcmp(how, "vfork") == 0) flags |= CLONE_VM | CLONE_VFORK;
  int (*volatile call)(int) = shared_text;
  call(0);
  char *stack = malloc(65536);
  int pid = clone(child, stack + 65536, flags, 0);
  int status;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return 3;
  call(0);
  if (WIFSIGNALED(status)) printf("child killed by %d\n", WTERMSIG(status));
  else printf("child exited with %d\n", WEXITSTATUS(status));
  return 0;
}
