// Attributes that prctl and personality set are read back, and are what they are at the start. prctl(2).
#include "check.h"
#include <sys/personality.h>

int main(void) {
  char name[16];
  MUST(prctl(PR_GET_NAME, name) == 0 && strncmp(name, "process-attributes", 15) == 0);
  MUST(prctl(PR_SET_NAME, "odd one") == 0 && prctl(PR_GET_NAME, name) == 0 && strcmp(name, "odd one") == 0);
  MUST(prctl(PR_GET_DUMPABLE) == 1 && prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0);
  for (int i = 0; i < 20; i++) MUST(getppid() > 0);
  pid_t child = fork();
  if (child == 0) _exit(3);
  MUST(ending(child) == 3 && prctl(PR_SET_DUMPABLE, 1) == 0);
  MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 && prctl(PR_GET_SECCOMP) == 0);
  int death = -1;
  MUST(prctl(PR_GET_PDEATHSIG, &death) == 0 && death == 0);
  MUST(prctl(PR_SET_TIMERSLACK, 12345) == 0 && prctl(PR_GET_TIMERSLACK) == 12345);
  MUST(prctl(PR_GET_TSC, &death) == 0 && death == PR_TSC_ENABLE);
  MUST(personality(0xffffffff) == 0);
  MUST(personality(ADDR_NO_RANDOMIZE) == 0 && personality(0xffffffff) == ADDR_NO_RANDOMIZE);
  return passed();
}
