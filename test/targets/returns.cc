// Functions that return in every way there is, or do not.
#include <setjmp.h>
#include <stdexcept>
#include "output.h"

#define EXPORTED extern "C" __attribute__((noinline, noclone))

static jmp_buf out;

// 15 calls, all of which return to one of two places.
EXPORTED long recursive(long depth) {
  if (depth == 0) return 1;
  long first = recursive(depth - 1);
  __asm__ volatile("" : "+r"(depth)); // or the compiler makes one call of two
  return first + recursive(depth - 1);
}

EXPORTED long leaf(long x) {
  __asm__ volatile("" : "+r"(x));
  return x * 2;
}

// Ends in a jump: returns when leaf does, with what leaf returns.
EXPORTED long tail_caller(long x);
__asm__(".text\n.globl tail_caller\n.type tail_caller, @function\ntail_caller: add $1, %rdi\n jmp leaf\n.size tail_caller, .-tail_caller\n");

// Leaves by longjmp every other time.
EXPORTED long jumper(long x) {
  if (x % 2) longjmp(out, 1);
  return x;
}

EXPORTED long around_jumper(long x) {
  return jumper(x) + 1;
}

EXPORTED long thrower(long x) {
  if (x % 2) throw std::runtime_error("odd");
  return x;
}

EXPORTED long catcher(long x) {
  try {
    return thrower(x) + 100;
  } catch (const std::runtime_error &) {
    return -1;
  }
}

// Returns to the same place as the function that it calls last by a jump of its own.
EXPORTED long two_sizes(long x);
__asm__(".text\n.globl two_sizes\n.type two_sizes, @function\ntwo_sizes: test $1, %dil\n jnz 1f\n mov $7, %eax\n ret $0\n1: mov $8, %eax\n repz ret\n.size two_sizes, .-two_sizes\n");

int main() {
  volatile long sum = 0, jumps = 0;
  sum += recursive(3);
  for (volatile int i = 0; i < 10; i++) {
    sum += tail_caller(i);
    sum += leaf(i);
    if (setjmp(out) == 0) sum += around_jumper(i);
    else jumps++;
    sum += catcher(i);
    sum += two_sizes(i);
  }
  printf("sum %ld jumps %ld\n", sum, jumps);
  return 0;
}
