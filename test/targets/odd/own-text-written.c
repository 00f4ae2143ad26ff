// A program that writes its own functions: each call gives what was last written. mprotect(2).
#include "check.h"

#define PAGE 4096
__asm__(".pushsection .text\n.balign 4096\n.globl patched\n.type patched, @function\n"
        "patched: nop\nmov $1, %eax\nret\n.size patched, . - patched\n.balign 4096\n.popsection\n");
extern char patched[];

int main(void) {
  int (*volatile call)(void) = (int (*)(void))(uintptr_t)patched;
  MUST(call() == 1);
  for (int value = 2; value < 100; value++) {
    MUST(mprotect(patched, PAGE, PROT_READ | PROT_WRITE) == 0);
    memcpy(patched + 2, &value, sizeof value);
    MUST(mprotect(patched, PAGE, PROT_READ | PROT_EXEC) == 0);
    MUST(call() == value);
  }
  // The whole function, its first byte with it.
  static const char other[] = {'\xb8', 1, 2, 0, 0, '\xc3'};
  MUST(mprotect(patched, PAGE, PROT_READ | PROT_WRITE) == 0);
  memcpy(patched, other, sizeof other);
  MUST(mprotect(patched, PAGE, PROT_READ | PROT_EXEC) == 0);
  for (int i = 0; i < 10; i++) MUST(call() == 513 && memcmp(patched, other, sizeof other) == 0);
  return passed();
}
