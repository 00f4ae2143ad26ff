// `many-functions ROUNDS [paced]`, linked with generated functions f0 … f19999: calls each of them ROUNDS
// times, then between(); it stops itself before and behind that. Paced, it calls the first ten only, in four
// quarters, and behind each of them it says its process ID and waits for a line.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** Each calls its functions once, and answers how many there were. */
long all(void);
long ten(void);

__attribute__((noinline)) void between(void) { __asm__ volatile("" ::: "memory"); }

int main(int count, char **words) {
  const long rounds = count > 1 ? atol(words[1]) : 1;
  const int paced = count > 2;
  const long each = paced ? 10 : 20000;
  const int quarters = paced ? 4 : 1;
  long sum = 0;
  if (!paced) raise(SIGSTOP);
  for (int quarter = 0; quarter < quarters; quarter++) {
    for (long i = 0; i < rounds; i++) sum += paced ? ten() : all();
    between();
    if (paced) printf("%d\n", getpid()), fflush(stdout), getchar();
  }
  if (!paced) raise(SIGSTOP);
  return sum + all() == quarters * rounds * each + 20000 ? 7 : 8;
}
