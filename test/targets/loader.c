// `loader LIBRARY ROUNDS`: loads it, calls it, lets it go, and once more. Beside that, a function that is
// chosen when the program starts (IFUNC), one with two names, and a label that is no function.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "output.h"

__attribute__((noinline, used)) static long chosen_plain(long value) { return value + 1; }
__attribute__((noinline, used)) static long chosen_clever(long value) { return value + 2; }

// Always the second one: whoever counts the first has not asked the resolver.
__attribute__((used)) static void *choose(void) { return (void *)chosen_clever; }
long chosen(long value) __attribute__((ifunc("choose")));

__attribute__((noinline)) long one_name(long value) { return value ^ 5; }
long other_name(long value) __attribute__((alias("one_name")));

__attribute__((noinline)) static long labelled(long count) {
  long sum = 0;
  __asm__ volatile("a_label: add %1, %0\n dec %1\n jnz a_label" : "+r"(sum), "+r"(count) : : "cc");
  return sum;
}

int main(int words_count, char **words) {
  if (words_count < 3) return 2;
  long rounds = atol(words[2]), sum = 0;
  for (int time = 0; time < 3; time++) {
    void *library = dlopen(words[1], RTLD_NOW);
    if (!library) {
      puts(dlerror());
      return 3;
    }
    long (*work)(long) = (long (*)(long))dlsym(library, "plugin_work");
    for (long i = 0; i < rounds; i++) sum += work(i);
    void *at = (void *)((long)work & -4096L);
    dlclose(library);
    // Its pages are gone; something else stands there now, that nobody may write into.
    if (mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at) {
      for (int i = 0; i < 4096; i++) sum += ((unsigned char *)at)[i];
      munmap(at, 4096);
    }
  }
  for (long i = 0; i < 4; i++) sum += chosen(i) + one_name(i) + other_name(i);
  sum += labelled(6);
  printf("sum %ld\n", sum);
  return 0;
}
