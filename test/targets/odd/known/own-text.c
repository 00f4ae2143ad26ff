// Adds its own text up, where breakpoints stand.
#include "../check.h"

extern char __executable_start[], etext[];

int main(void) {
  int file = open("/proc/self/exe", O_RDONLY);
  MUST(file >= 0);
  static char stored[65536], *from = (char *)(uintptr_t)main;
  from = (char *)((uintptr_t)from & ~4095ul);
  ssize_t length = pread(file, stored, etext - from, from - __executable_start);
  MUST(length == etext - from && memcmp(stored, from, (size_t)length) == 0);
  return passed();
}
