// A SIGTRAP that is sent to a program that ignores it is ignored; otherwise it kills.
#include "check.h"

static int child_of(void (*body)(void)) {
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    body();
    _exit(0);
  }
  return ending(child);
}

static void ignored(void) {
  signal(SIGTRAP, SIG_IGN);
  for (int i = 0; i < 50; i++) raise(SIGTRAP);
  struct sigaction now;
  MUST(sigaction(SIGTRAP, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
}
static void plain(void) { raise(SIGTRAP); }

int main(void) {
  MUST(child_of(ignored) == 0);
  MUST(child_of(plain) == 128 + SIGTRAP);
  ignored();
  return passed();
}
