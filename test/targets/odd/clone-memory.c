// Children that share the memory, the descriptors, the folder; children without a signal. clone(2).
#include "check.h"

#define STACK 65536
static char stacks[8][STACK] __attribute__((aligned(16)));
static volatile int shared;

static int writes(void *value) {
  shared = (int)(intptr_t)value;
  return shared;
}
static int opens(void *file) { return dup2(0, (int)(intptr_t)file) < 0; }
static int moves(void *folder) { return chdir(folder) != 0; }

int main(void) {
  for (int i = 0; i < 30; i++) {
    char *top = stacks[i % 8] + STACK;
    pid_t child = clone(writes, top, CLONE_VM | SIGCHLD, (void *)(intptr_t)i);
    MUST(child > 0 && ending(child) == i && shared == i);
    child = clone(writes, top, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)(intptr_t)(i + 100));
    MUST(child > 0 && shared == i + 100 && ending(child) == i + 100);
    child = clone(writes, top, SIGCHLD, (void *)(intptr_t)77);
    MUST(child > 0 && ending(child) == 77 && shared == i + 100);
    child = clone(opens, top, CLONE_FILES | SIGCHLD, (void *)(intptr_t)50);
    MUST(child > 0 && ending(child) == 0 && close(50) == 0);
    child = clone(moves, top, CLONE_FS | SIGCHLD, "/proc");
    char folder[64];
    MUST(child > 0 && ending(child) == 0 && getcwd(folder, sizeof folder) && strcmp(folder, "/proc") == 0);
    child = clone(writes, top, CLONE_VM, (void *)(intptr_t)i);
    int status;
    MUST(waitpid(child, &status, 0) == -1 && errno == ECHILD);
    MUST(waitpid(child, &status, __WCLONE) == child && WEXITSTATUS(status) == i);
  }
  return passed();
}
