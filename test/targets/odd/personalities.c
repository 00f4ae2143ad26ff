// Programs without random addresses, and where all that can be read can be executed. personality(2).
#include "check.h"
#include <sys/personality.h>

static void again(char **argv, unsigned long persona, const char *state, const char *detail) {
  MUST(personality(persona) != -1);
  execv("/proc/self/exe", (char *[]){argv[0], (char *)state, (char *)detail, NULL});
  MUST(!"executed");
}

int main(int argc, char **argv) {
  char here[32];
  snprintf(here, sizeof here, "%p", (void *)main);
  if (argc == 1) again(argv, ADDR_NO_RANDOMIZE, "first", "");
  if (strcmp(argv[1], "first") == 0) {
    MUST(personality(0xffffffff) == ADDR_NO_RANDOMIZE);
    again(argv, ADDR_NO_RANDOMIZE, "second", here);
  }
  MUST(strcmp(argv[1], "second") == 0 && strcmp(argv[2], here) == 0);
  MUST(personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC) == ADDR_NO_RANDOMIZE);
  MUST(personality(0xffffffff) == (ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC));
  // Even what was mapped to be read only can be executed: mov eax, 42; ret.
  unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(page != MAP_FAILED);
  memcpy(page, code, sizeof code);
  MUST(((int (*)(void))page)() == 42);
  return passed();
}
