// SA_RESTART: a read that a signal interrupts goes on; without, it fails with EINTR. signal(7).
#include "check.h"

static volatile sig_atomic_t handled;
static void count(int signal) { handled += signal == SIGUSR1; }
static int ends[2];

static void *sender(void *reader) {
  for (int i = 0; i < 20; i++) {
    until_state(*(pid_t *)reader, "S");
    MUST(kill(getpid(), SIGUSR1) == 0);
    while (handled <= i) sched_yield();
  }
  until_state(*(pid_t *)reader, "S");
  MUST(write(ends[1], "x", 1) == 1);
  return NULL;
}

static void *breaker(void *reader) {
  until_state(*(pid_t *)reader, "S");
  MUST(kill(getpid(), SIGUSR1) == 0);
  return NULL;
}

static void in_thread(void *(*body)(void *), pthread_t *thread) {
  static pid_t reader;
  sigset_t set = set_of(SIGUSR1);
  reader = gettid();
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  MUST(pthread_create(thread, NULL, body, &reader) == 0);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int main(void) {
  pthread_t thread;
  char byte;
  MUST(pipe(ends) == 0);
  handle(SIGUSR1, count, SA_RESTART);
  in_thread(sender, &thread);
  MUST(read(ends[0], &byte, 1) == 1 && byte == 'x');
  pthread_join(thread, NULL);
  MUST(handled == 20);
  handle(SIGUSR1, count, 0);
  in_thread(breaker, &thread);
  MUST(read(ends[0], &byte, 1) == -1 && errno == EINTR);
  pthread_join(thread, NULL);
  MUST(handled == 21);
  return passed();
}
