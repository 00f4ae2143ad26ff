// Handlers run at any instruction and leave general, vector and flag registers alone.
#include "check.h"

static volatile sig_atomic_t ticks;

/** Once: ticks that come faster than their handler runs would leave the program no time of its own. */
static void arm(void) {
  struct itimerval once = {{0, 0}, {0, 300}};
  MUST(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static void tick(int signal) {
  double numbers[8];
  for (int i = 0; i < 8; i++) numbers[i] = signal * 1.5 + i;
  char text[64];
  snprintf(text, sizeof text, "%g", numbers[ticks % 8]);
  ticks++;
  arm();
}

__attribute__((noinline, noclone)) static int round_trip(unsigned long seed) {
  unsigned long out[4];
  double vector[2] = {1.0, 2.0}, after[2];
  unsigned char carry;
  __asm__ volatile(
      "movupd %[in], %%xmm9; mov %[seed], %%r12; mov %[seed], %%r13; not %%r13\n"
      "mov $2000, %%ecx\n"
      "stc\n"
      "1: lea 1(%%r12), %%r12; lea -1(%%r13), %%r13; lea -1(%%ecx), %%ecx; jrcxz 2f; jmp 1b\n"
      "2: setc %[carry]; movupd %%xmm9, %[after]; mov %%r12, %[a]; mov %%r13, %[b]\n"
      : [a] "=m"(out[0]), [b] "=m"(out[1]), [after] "=m"(after), [carry] "=m"(carry)
      : [in] "m"(vector), [seed] "r"(seed)
      : "rcx", "r12", "r13", "xmm9", "cc", "memory");
  return carry == 1 && after[0] == 1.0 && after[1] == 2.0 && out[0] == seed + 2000 && out[1] == ~seed - 2000;
}

int main(void) {
  handle(SIGALRM, tick, 0);
  arm();
  for (unsigned long i = 0; ticks < 300; i++) MUST(round_trip(i * 0x9e3779b97f4a7c15));
  return passed();
}
