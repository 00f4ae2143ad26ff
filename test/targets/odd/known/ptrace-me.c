// Asks to be traced, which a program that is traced cannot be a second time. ptrace(2), PTRACE_TRACEME.
#include "../check.h"
#include <sys/ptrace.h>

int main(void) {
  MUST(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
  return passed();
}
