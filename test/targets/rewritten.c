// A program that writes its own text while a probe may be on it: machine code that it made. Goes
// on at SIGUSR1.
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

__attribute__((noinline, noclone, aligned(4096))) int rewritten(int value) { return value * 3 + 1; }
__attribute__((noinline, aligned(4096))) void after_writing(void) { __asm__ volatile("" ::: "memory"); }

static volatile sig_atomic_t asked;

// Aligned: the six bytes written over `rewritten` must not reach into it.
__attribute__((aligned(16))) static void go_on(int signal) {
  (void)signal;
  asked = 1;
}

int main(void) {
  signal(SIGUSR1, go_on);
  raise(SIGSTOP);
  int (*volatile call)(int) = rewritten;
  int sum = 0;
  for (int i = 0; i < 10; i++) sum += call(i);
  // mov $42, %eax; ret
  static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
  void *page = (void *)((unsigned long)rewritten & ~4095ul);
  if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return 3;
  memcpy((void *)(unsigned long)rewritten, code, sizeof code);
  if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0) return 3;
  while (!asked) {
    after_writing();
    usleep(2000);
  }
  for (int i = 0; i < 10; i++) sum += call(i);
  int same = memcmp((void *)(unsigned long)rewritten, code, sizeof code) == 0;
  return same && sum == 565 ? 0 : 1;
}
