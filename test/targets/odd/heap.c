// The heap grows by sbrk in one piece, beside what else is mapped, and shrinks. brk(2).
#include "check.h"

int main(void) {
  char *start = sbrk(0), *end = start;
  for (int i = 0; i < 256; i++) {
    char *got = sbrk(256 * 1024);
    MUST(got == end);
    end = got + 256 * 1024;
    memset(got, i, 4096);
    MUST(sbrk(0) == end);
  }
  for (int i = 0; i < 256; i++) MUST(start[i * 256 * 1024 + 4095] == (char)i);
  MUST(brk(start) == 0 && sbrk(0) == start);
  for (int i = 0; i < 200; i++) {
    char *block = malloc((size_t)i * 1000 + 1);
    MUST(block != NULL && (block = realloc(block, (size_t)i * 3000 + 1)) != NULL);
    free(block);
  }
  return passed();
}
