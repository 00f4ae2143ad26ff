// Stops and continues of a process with several threads: all stand, none runs, then all go on.
#include "check.h"

static volatile long *counters;

static void *counter(void *nth) {
  for (;;) {
    counters[(intptr_t)nth]++;
    sched_yield();
  }
  return NULL;
}

static volatile sig_atomic_t continued;
static void note(int signal) {
  continued += signal == SIGCONT;
}

int main(void) {
  counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t child = fork();
  if (child == 0) {
    MUST(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && setpgid(0, 0) == 0);
    handle(SIGCONT, note, 0);
    pthread_t thread;
    for (intptr_t i = 0; i < 3; i++) MUST(pthread_create(&thread, NULL, counter, (void *)i) == 0);
    while (!counters[9]) {
      counters[8] = continued;
      struct timespec time = {0, 1000000};
      nanosleep(&time, NULL);
    }
    _exit(continued);
  }
  for (int i = 0; i < 5; i++) {
    while (counters[0] == 0 || counters[1] == 0 || counters[2] == 0 || counters[8] < i) sched_yield();
    int status;
    MUST(kill(child, i % 2 == 0 ? SIGSTOP : SIGTSTP) == 0);
    MUST(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    MUST(WSTOPSIG(status) == (i % 2 == 0 ? SIGSTOP : SIGTSTP));
    until_state(child, "tT");
    long before = counters[0] + counters[1] + counters[2];
    sleep_ms(20);
    MUST(counters[0] + counters[1] + counters[2] == before);
    MUST(kill(child, SIGCONT) == 0);
    MUST(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    while (counters[0] + counters[1] + counters[2] == before) sched_yield();
  }
  counters[9] = 1;
  MUST(ending(child) == 5);
  return passed();
}
