// A program whose instructions fault, for the cases of the mail. It prints one line that depends on
// everything that was done right; every probed place is a label of its own.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "output.h"

static char *page;
static volatile int faults, traps, jumps;
static volatile long flags_seen, where_seen, address_seen;
static sigjmp_buf out;
extern char the_trap[], the_divide[];

// A page-protecting collector: maps the page and returns to the instruction.
static void map_page(int signal, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  faults++;
  flags_seen += u->uc_mcontext.gregs[REG_EFL] & 0xcd5;
  address_seen += (char *)info->si_addr - page;
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void leave(int signal, siginfo_t *info, void *context) {
  where_seen += (char *)info->si_addr - the_divide;
  jumps++;
  siglongjmp(out, 1);
}

static void note_trap(int signal, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  traps++;
  where_seen += (char *)u->uc_mcontext.gregs[REG_RIP] - the_trap;
  flags_seen += u->uc_mcontext.gregs[REG_EFL] & 0xcd5;
}

// Faults while the page is protected, is tried again, and completes.
__attribute__((noinline)) void store(char *at, int value) {
  __asm__ volatile(".globl the_store\nthe_store: movb %b1,(%0)" : : "r"(at), "q"(value) : "memory");
}

// Faults; its handler jumps away, so it is never tried again.
__attribute__((noinline)) int divide(int a, int b) {
  int quotient;
  __asm__ volatile(".globl the_divide\nthe_divide: idivl %2" : "=a"(quotient) : "0"(a), "r"(b), "d"(0) : "cc");
  return quotient;
}

// Traps: not retryable.
__attribute__((noinline)) void trap(void) {
  __asm__ volatile(".globl the_trap\nthe_trap: int3");
}

// Never faults; its second argument is a good or a bad string.
__attribute__((noinline)) long work(long number, const char *text) {
  __asm__ volatile(".globl the_work\nthe_work: add $1,%0" : "+r"(number));
  return number;
}

// Kills the program.
__attribute__((noinline)) void die(volatile int *at) {
  __asm__ volatile(".globl the_death\nthe_death: movl $1,(%0)" : : "r"(at) : "memory");
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(signal, &action, 0);
}

int main(int count, char **words) {
  page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  handle(SIGSEGV, map_page);
  handle(SIGFPE, leave);
  handle(SIGTRAP, note_trap);
  volatile long sum = 0;
  for (volatile int i = 0; i < 5; i++) {
    mprotect(page, 4096, PROT_NONE);
    store(page + i, i + 1);
    sum += page[i];
  }
  for (volatile int i = 0; i < 7; i++)
    if (sigsetjmp(out, 1) == 0) sum += divide(i, 0);
  for (int i = 0; i < 3; i++) trap();
  for (int i = 0; i < 10; i++) sum += work(i, i % 2 ? (char *)8 : "good");
  printf("sum %ld faults %d jumps %d traps %d flags %lx where %ld address %ld\n", sum, faults, jumps, traps,
         flags_seen, where_seen, address_seen);
  fflush(stdout);
  if (count > 1 && !strcmp(words[1], "die")) {
    signal(SIGSEGV, SIG_DFL);
    die(0);
  }
  return 0;
}
