// Faults that the program handles itself: a null pointer, a misaligned or missing page of a file, a division, an
// instruction that is none. `own-faults WAY`: between them the signals are blocked or ignored, or neither.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "output.h"

static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
#define COUNT 5
#define ROUNDS 20

static sigjmp_buf back;
static volatile int handled[65];
static volatile char *page;

__attribute__((noinline)) void between(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void in_handler(void) { __asm__ volatile("" ::: "memory"); }

static void handler(int signal) {
  in_handler();
  handled[signal]++;
  siglongjmp(back, 1);
}

__attribute__((noinline)) static void raise_one(int signal) {
  if (signal == SIGSEGV) *(volatile char *)8 = 1;
  if (signal == SIGBUS) *page = 1;
  if (signal == SIGFPE) __asm__ volatile("xor %%eax, %%eax\n cltd\n idivl %%eax" ::: "eax", "edx", "cc");
  if (signal == SIGILL) __asm__ volatile("ud2");
  if (signal == SIGTRAP) __asm__ volatile("int3");
}

int main(int count, char **words) {
  const char *way = count > 1 ? words[1] : "neither";
  const int blocks = strcmp(way, "blocked") == 0, ignores = strcmp(way, "ignored") == 0;
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd_create("empty", 0), 0);
  sigset_t none, all, now;
  sigemptyset(&none), sigemptyset(&all);
  for (int i = 0; i < COUNT; i++) sigaddset(&all, SIGNALS[i]);
  struct sigaction own = {.sa_handler = handler}, other = {.sa_handler = ignores ? SIG_IGN : handler}, is;
  int wrong = 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &other, NULL);
    sigprocmask(SIG_SETMASK, blocks ? &all : &none, NULL);
    between();
    sigprocmask(SIG_SETMASK, NULL, &now);
    for (int i = 0; i < COUNT; i++) {
      sigaction(SIGNALS[i], NULL, &is);
      wrong += is.sa_handler != other.sa_handler || sigismember(&now, SIGNALS[i]) != blocks;
      sigaction(SIGNALS[i], &own, NULL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 0; i < COUNT; i++)
      if (sigsetjmp(back, 1) == 0) raise_one(SIGNALS[i]);
  }
  for (int i = 0; i < COUNT; i++) wrong += handled[SIGNALS[i]] != ROUNDS;
  printf("wrong %d\n", wrong);
  return 0;
}
