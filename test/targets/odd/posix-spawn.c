// Spawned programs with file actions, a mask, a group; one that does not exist. posix_spawn(3).
#include "check.h"
#include <spawn.h>

extern char **environ;

int main(int argc, char **argv) {
  if (argc > 1) {
    sigset_t mask;
    MUST(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGUSR2) == 1);
    struct sigaction now;
    MUST(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    MUST(getpgrp() == getpid());
    char byte;
    MUST(read(40, &byte, 1) == 1 && byte == 'a' + atoi(argv[1]));
    return 10 + atoi(argv[1]);
  }
  signal(SIGUSR1, SIG_IGN);
  posix_spawnattr_t attributes;
  MUST(posix_spawnattr_init(&attributes) == 0);
  sigset_t mask = set_of(SIGUSR2), defaults = set_of(SIGUSR1);
  MUST(posix_spawnattr_setsigmask(&attributes, &mask) == 0);
  MUST(posix_spawnattr_setsigdefault(&attributes, &defaults) == 0);
  MUST(posix_spawnattr_setpgroup(&attributes, 0) == 0);
  MUST(posix_spawnattr_setflags(&attributes,
                                POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP) == 0);
  for (int i = 0; i < 15; i++) {
    int ends[2];
    MUST(pipe2(ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    MUST(posix_spawn_file_actions_init(&actions) == 0);
    MUST(posix_spawn_file_actions_adddup2(&actions, ends[0], 40) == 0);
    char number[4];
    snprintf(number, sizeof number, "%d", i);
    char *args[] = {"posix-spawn", number, NULL};
    pid_t child;
    MUST(posix_spawn(&child, "/proc/self/exe", &actions, &attributes, args, environ) == 0);
    char byte = 'a' + i;
    MUST(write(ends[1], &byte, 1) == 1 && ending(child) == 10 + i);
    close(ends[0]);
    close(ends[1]);
    posix_spawn_file_actions_destroy(&actions);
    MUST(posix_spawn(&child, "/nothing/here", NULL, NULL, args, environ) == ENOENT);
  }
  MUST(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  return passed();
}
