// Code that is written, run, moved, unmapped and written anew at the same address.
#include "check.h"

int main(void) {
  char *at = NULL;
  for (int i = 0; i < 300; i++) {
    char *page = mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
    MUST(page != MAP_FAILED);
    page[0] = '\xb8'; // mov $i, %eax; ret
    memcpy(page + 1, &i, 4);
    page[5] = '\xc3';
    MUST(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
    MUST(((int (*)(void))(uintptr_t)page)() == i);
    if (i % 3 == 0) {
      char *moved = mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
                           mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      MUST(moved != MAP_FAILED && ((int (*)(void))(uintptr_t)moved)() == i);
      MUST(munmap(moved, 4096) == 0);
    } else MUST(munmap(page, 4096) == 0);
    at = page;
  }
  return passed();
}
