// Limits are met where they are set: descriptors, sizes of files, of memory. getrlimit(2).
#include "check.h"
#include <sys/resource.h>

static volatile sig_atomic_t too_big;
static void note(int signal) {
  too_big += signal == SIGXFSZ;
}

static void limit(int what, rlim_t value) {
  struct rlimit now, set;
  MUST(getrlimit(what, &set) == 0);
  set.rlim_cur = value;
  MUST(setrlimit(what, &set) == 0 && getrlimit(what, &now) == 0 && now.rlim_cur == value);
}

int main(void) {
  limit(RLIMIT_NOFILE, 50);
  int last = -1, file;
  while ((file = dup(0)) >= 0) last = file;
  MUST(errno == EMFILE && last == 49);
  for (int i = 3; i < 50; i++) close(i);
  handle(SIGXFSZ, note, 0);
  char name[] = "/tmp/odd-XXXXXX", text[4096] = {0};
  MUST((file = mkstemp(name)) >= 0 && unlink(name) == 0);
  limit(RLIMIT_FSIZE, 8192);
  MUST(write(file, text, 4096) == 4096 && write(file, text, 4096) == 4096);
  MUST(write(file, text, 4096) == -1 && errno == EFBIG && too_big == 1);
  limit(RLIMIT_AS, 64 << 20);
  MUST(mmap(NULL, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
  void *block = malloc(1 << 20);
  MUST(block != NULL && malloc(100 << 20) == NULL);
  free(block);
  limit(RLIMIT_NPROC, 0);
  for (int i = 0; i < 20; i++) MUST(getppid() > 0);
  return passed();
}
