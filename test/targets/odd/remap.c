// Mappings that grow, move, are halved and given back in the middle. mremap(2).
#include "check.h"

#define PAGE 4096
int main(void) {
  for (int round = 0; round < 50; round++) {
    char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(at != MAP_FAILED);
    for (int i = 0; i < 4; i++) at[i * PAGE] = (char)(i + round);
    char *bigger = mremap(at, 4 * PAGE, 400 * PAGE, MREMAP_MAYMOVE);
    MUST(bigger != MAP_FAILED);
    for (int i = 0; i < 4; i++) MUST(bigger[i * PAGE] == (char)(i + round));
    char *elsewhere = mremap(bigger, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    if (elsewhere != MAP_FAILED) {
      MUST(elsewhere[0] == (char)round && bigger[0] == 0);
      MUST(munmap(elsewhere, PAGE) == 0);
    }
    MUST(munmap(bigger + PAGE, PAGE) == 0);
    unsigned char resident;
    MUST(mincore(bigger + PAGE, PAGE, &resident) == -1 && errno == ENOMEM);
    MUST(munmap(bigger, 400 * PAGE) == 0);
  }
  return passed();
}
