// Counts its executable mappings: its own, the loader's, libc's, the vDSO's and vsyscall's, and no more.
#include "../check.h"

int main(void) {
  FILE *file = fopen("/proc/self/maps", "r");
  char line[512];
  int anonymous = 0;
  while (fgets(line, sizeof line, file) != NULL)
    if (strstr(line, "xp ") != NULL && strchr(line, '/') == NULL && strchr(line, '[') == NULL) anonymous++;
  MUST(anonymous == 0);
  return passed();
}
