// Faults of instructions: their codes and addresses, and a handler that goes on behind them.
#include "check.h"
#include <ucontext.h>

static volatile int expected, expected_code, length, count;
static void *volatile where;

static void fault(int signal, siginfo_t *info, void *context) {
  ucontext_t *state = context;
  MUST(signal == expected && info->si_code == expected_code);
  if (where != NULL) MUST(info->si_addr == where);
  else MUST((greg_t)(uintptr_t)info->si_addr == state->uc_mcontext.gregs[REG_RIP]);
  state->uc_mcontext.gregs[REG_RIP] += length;
  count++;
}

static void expect(int signal, int code, int bytes, void *address) {
  expected = signal;
  expected_code = code;
  length = bytes;
  where = address;
}

int main(void) {
  int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  for (int i = 0; i < 4; i++) handle_info(signals[i], fault, 0);
  char name[] = "/tmp/odd-XXXXXX";
  int file = mkstemp(name);
  MUST(file >= 0 && unlink(name) == 0);
  char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *past = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
  MUST(none != MAP_FAILED && past != MAP_FAILED);
  for (int i = 0; i < 100; i++) {
    expect(SIGSEGV, SEGV_ACCERR, 3, none + i);
    __asm__ volatile(".byte 0x8a, 0x04, 0x23" ::"b"(none + i) : "rax", "memory");
    expect(SIGBUS, BUS_ADRERR, 3, past + i);
    __asm__ volatile(".byte 0x8a, 0x04, 0x23" ::"b"(past + i) : "rax", "memory");
    expect(SIGFPE, FPE_INTDIV, 2, NULL);
    __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx" ::: "rax", "rcx", "rdx", "cc");
    expect(SIGILL, ILL_ILLOPN, 2, NULL);
    __asm__ volatile("ud2");
  }
  MUST(count == 400);
  return passed();
}
