// A thread that is not the leader executes: it becomes the leader, the others end. execve(2).
#include "check.h"

static char pid[16], left[16];
static void *executes(void *unused) {
  sleep_ms(2);
  execl("/proc/thread-self/exe", "exec-thread", left, pid, NULL);
  return unused;
}
static void *waits(void *unused) {
  pause();
  return unused;
}
static void *runs(void *unused) {
  for (;;) getppid();
  return unused;
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 15;
  if (argc > 1) MUST(atoi(argv[2]) == getpid() && gettid() == getpid());
  if (rounds == 0) return passed();
  snprintf(pid, sizeof pid, "%d", getpid());
  snprintf(left, sizeof left, "%d", rounds - 1);
  pthread_t thread;
  for (int i = 0; i < 4; i++) MUST(pthread_create(&thread, NULL, i % 2 ? waits : runs, NULL) == 0);
  MUST(pthread_create(&thread, NULL, executes, NULL) == 0);
  if (rounds % 3 == 0) pthread_exit(NULL);
  pthread_join(thread, NULL);
  return 1;
}
