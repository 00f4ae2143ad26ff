// Dies of a signal that dumps core, in the way that its first argument names. Stops itself first.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long faults(long *at);
__asm__(".globl faults\n.type faults, @function\nfaults:\n  mov (%rdi), %rax\n  ret\n.size faults, . - faults\n");
void traps(void);
__asm__(".globl traps\n.type traps, @function\ntraps:\n  nop\n  int3\n  ret\n.size traps, . - traps\n");

__attribute__((noinline)) int plain(int value) { return value * 3 + 1; }

int main(int count, char **words) {
  const char *how = count > 1 ? words[1] : "";
  raise(SIGSTOP);
  long value = 1;
  volatile long sum = plain(1) + faults(&value);
  if (strcmp(how, "fault") == 0) sum += faults((long *)16);
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "trap") == 0) traps();
  if (strcmp(how, "signal") == 0) kill(getpid(), SIGXCPU);
  return (int)sum & 1;
}
