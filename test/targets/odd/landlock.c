// A program takes away its own right to open files, for its children too. landlock(7).
#include "check.h"
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif

int main(void) {
  uint64_t handled = 1 << 2; // LANDLOCK_ACCESS_FS_READ_FILE
  int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
  if (rules < 0) return skipped("no landlock");
  int before = open("/proc/self/stat", O_RDONLY);
  MUST(before >= 0);
  MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  MUST(syscall(SYS_landlock_restrict_self, rules, 0) == 0);
  for (int i = 0; i < 20; i++) MUST(open("/proc/self/stat", O_RDONLY) == -1 && errno == EACCES);
  char byte;
  MUST(read(before, &byte, 1) == 1);
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    MUST(open("/proc/self/stat", O_RDONLY) == -1 && errno == EACCES);
    _exit(0);
  }
  MUST(ending(child) == 0);
  return passed();
}
