// What madvise throws away, keeps from children, and wipes for them. madvise(2).
#include "check.h"

#define PAGE 4096
int main(void) {
  char *at = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(at, 'x', 3 * PAGE);
  MUST(madvise(at, PAGE, MADV_DONTNEED) == 0 && at[0] == 0 && at[PAGE] == 'x');
  MUST(madvise(at + PAGE, PAGE, MADV_WIPEONFORK) == 0 && madvise(at + 2 * PAGE, PAGE, MADV_DONTFORK) == 0);
  at[0] = 'y';
  for (int i = 0; i < 20; i++) {
    pid_t child = fork();
    if (child == 0) {
      unsigned char resident;
      MUST(at[0] == 'y' && at[PAGE] == 0);
      MUST(mincore(at + 2 * PAGE, PAGE, &resident) == -1 && errno == ENOMEM);
      _exit(0);
    }
    MUST(ending(child) == 0 && at[PAGE] == 'x' && at[2 * PAGE] == 'x');
  }
  return passed();
}
