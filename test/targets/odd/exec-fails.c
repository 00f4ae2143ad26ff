// Executions that fail leave everything as it was, also of one of several threads. execve(2).
#include "check.h"

static void *waits(void *unused) {
  pause();
  return unused;
}

int main(void) {
  pthread_t thread;
  MUST(pthread_create(&thread, NULL, waits, NULL) == 0);
  char *args[] = {"x", NULL};
  char name[] = "/tmp/odd-XXXXXX";
  int file = mkstemp(name);
  MUST(file >= 0 && fchmod(file, 0755) == 0 && write(file, "\x7f" "ELFnothing", 11) == 11 && close(file) == 0);
  for (int i = 0; i < 50; i++) {
    MUST(execv("/nothing/here", args) == -1 && errno == ENOENT);
    MUST(execv("/", args) == -1 && errno == EACCES);
    MUST(execv(name, args) == -1 && errno == ENOEXEC);
  }
  MUST(unlink(name) == 0 && pthread_kill(thread, 0) == 0);
  return passed();
}
