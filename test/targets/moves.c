// Long moves that fault on their way, and a file that is shorter than its mapping.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "output.h"

#define SIZE (1L << 20)

static char *from, *to, *file;
static int descriptor;
static volatile int faults, bus_errors;
static volatile long where;

static void mend(int signal, siginfo_t *info, void *context) {
  char *at = info->si_addr;
  if (signal == SIGBUS) {
    bus_errors++;
    where += at - file;
    if (ftruncate(descriptor, 3 * 4096)) _exit(3);
    return;
  }
  faults++;
  where += at - to;
  mprotect((char *)((long)at & -4096L), 4096, PROT_READ | PROT_WRITE);
}

__attribute__((noinline)) static void move(char *to, char *from, long size) {
  __asm__ volatile(".globl the_move\n.type the_move, @function\nthe_move: rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

__attribute__((noinline)) static int load(char *at) {
  int value;
  __asm__ volatile(".globl the_load\n.type the_load, @function\nthe_load: movsbl (%1), %0" : "=r"(value) : "r"(at));
  return value;
}

int main(void) {
  char name[] = "/tmp/trapline-moves-XXXXXX";
  struct sigaction action = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  from = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  to = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (long i = 0; i < SIZE; i++) from[i] = i * 31 >> 3;
  long sum = 0;
  for (int round = 0; round < 3; round++) {
    for (long i = 0; i < SIZE; i++) to[i] = 0;
    // The second half begins with a page that is not there, and another one in its middle is not.
    mprotect(to + SIZE / 2, 4096, PROT_NONE);
    mprotect(to + SIZE / 4 * 3, 4096, PROT_NONE);
    move(to, from, SIZE);
    for (long i = 0; i < SIZE; i++) sum = sum * 33 + to[i];
  }
  descriptor = mkstemp(name);
  unlink(name);
  if (ftruncate(descriptor, 4096)) return 3;
  file = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  for (int i = 0; i < 3; i++) sum += load(file + i * 4096);
  printf("sum %ld faults %d bus errors %d where %ld\n", sum, faults, bus_errors, where);
  return 0;
}
