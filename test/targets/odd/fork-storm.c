// 200 children at once, each with its status; then a tree of forks.
#include "check.h"

static int tree(int depth) {
  if (depth == 0) return 1;
  int sum = 0;
  pid_t children[2];
  for (int i = 0; i < 2; i++) {
    children[i] = fork();
    MUST(children[i] >= 0);
    if (children[i] == 0) _exit(tree(depth - 1));
  }
  for (int i = 0; i < 2; i++) sum += ending(children[i]);
  return sum;
}

int main(void) {
  pid_t children[200];
  for (int i = 0; i < 200; i++) {
    children[i] = fork();
    MUST(children[i] >= 0);
    if (children[i] == 0) _exit(i);
  }
  for (int i = 199; i >= 0; i--) MUST(ending(children[i]) == i);
  MUST(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
  MUST(tree(5) == 32);
  return passed();
}
