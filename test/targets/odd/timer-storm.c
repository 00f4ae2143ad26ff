// A computation is right under a storm of timer signals, whose handler calls what it calls.
#include "check.h"

static volatile sig_atomic_t ticks;
static char scratch[64];
static void tick(int signal) {
  int before = errno;
  memset(scratch, signal, sizeof scratch);
  if (getppid() <= 0 || memchr(scratch, 0, sizeof scratch) != NULL) _exit(1);
  ticks++;
  errno = before;
}

int main(void) {
  handle(SIGALRM, tick, SA_RESTART);
  struct itimerval timer = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
  MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  unsigned sum = 0, rounds = 0;
  char text[64];
  while (ticks < 500 || rounds < 2000) {
    double part = rounds % 1000 / 8.0;
    int length = snprintf(text, sizeof text, "%u %.3f", rounds % 1000, part);
    MUST(length == (int)strlen(text) && strtoul(text, NULL, 10) == rounds % 1000);
    MUST(strtod(strchr(text, ' '), NULL) == part);
    sum += (unsigned)length;
    rounds++;
  }
  MUST(setitimer(ITIMER_REAL, &off, NULL) == 0 && sum > rounds);
  return passed();
}
