// Calls `beat` until SIGTERM comes, in as many threads as its first argument says, and checks each
// result; then prints what it found. For tests in which tracers come and go.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "output.h"

static volatile int stop;
static volatile long wrong;
volatile long beats;

__attribute__((noinline)) long beat(long x) {
  __asm__ volatile(".globl the_beat\nthe_beat: add $1,%0" : "+r"(x) : : "cc");
  return x;
}

// Bytes that are no instruction in 64-bit mode; never executed.
__asm__(".text\n.globl the_hole\n.type the_hole, @function\nthe_hole: .byte 0x06, 0x06, 0x06, 0x06\n"
        ".size the_hole, . - the_hole\n");

__attribute__((noinline)) long rest(long x) {
  __asm__ volatile("" : "+r"(x));
  return x;
}

static void *run(void *pause) {
  for (long x = 0; !stop;) {
    if (beat(x) != x + 1) wrong++;
    x = rest(x + 1);
    beats++;
    if (pause) usleep(200);
  }
  return 0;
}

int main(int count, char **words) {
  sigset_t set;
  int signal, threads = count > 1 ? atoi(words[1]) : 1;
  pthread_t thread[64];
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, 0);
  for (int i = 0; i < threads; i++) pthread_create(&thread[i], 0, run, words[1]);
  sigwait(&set, &signal);
  stop = 1;
  for (int i = 0; i < threads; i++) pthread_join(thread[i], 0);
  printf(wrong ? "wrong %ld\n" : "every beat was right\n", wrong);
  return 7;
}
