// `executes HOW PROGRAM`: executes it, in the way that is named, and ends with its status.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

__attribute__((noinline)) void counted(void) { __asm__ volatile("" ::: "memory"); }

static void *wait_for_ever(void *argument) {
  for (;;) pause();
  return argument;
}

int main(int count, char **words) {
  if (count < 3) return 2;
  char *how = words[1], *program = words[2];
  char *argv[] = {program, NULL};
  pthread_t thread;
  int status;
  pid_t child;
  for (int i = 0; i < 5; i++) counted();
  if (strcmp(how, "descriptor") == 0) fexecve(open(program, O_RDONLY | O_CLOEXEC), argv, environ);
  if (strcmp(how, "thread") == 0) pthread_create(&thread, NULL, wait_for_ever, NULL);
  if (strcmp(how, "exec") == 0 || strcmp(how, "thread") == 0) execv(program, argv);
  if (strcmp(how, "missing") == 0) {
    execv("/nonexistent", argv);
    for (int i = 0; i < 5; i++) counted();
    return 42;
  }
  if (strcmp(how, "spawn") == 0) {
    if (posix_spawn(&child, program, NULL, NULL, argv, environ) != 0) return 3;
    if (waitpid(child, &status, 0) != child) return 4;
    for (int i = 0; i < 5; i++) counted();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 5;
  }
  return 6;
}
