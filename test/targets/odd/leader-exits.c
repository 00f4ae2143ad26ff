// The first thread ends; the process lives on, forks, is signalled, and exits from another thread.
#include "check.h"

static volatile sig_atomic_t handled;
static void count(int signal) { handled += signal == SIGUSR1; }

static void *lives(void *leader) {
  MUST(pthread_join((pthread_t)leader, NULL) == 0);
  until_state(getpid(), "Z");
  for (int i = 0; i < 20; i++) {
    MUST(kill(getpid(), SIGUSR1) == 0);
    while (handled <= i) sched_yield();
    pid_t child = fork();
    if (child == 0) _exit(i);
    MUST(ending(child) == i);
  }
  puts("passed");
  exit(0);
}

int main(void) {
  pthread_t thread;
  handle(SIGUSR1, count, SA_RESTART);
  MUST(pthread_create(&thread, NULL, lives, (void *)pthread_self()) == 0);
  pthread_exit(NULL);
}
