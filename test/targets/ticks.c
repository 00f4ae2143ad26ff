// A timer's signal arrives a thousand times a second while a loop goes over eight labelled instructions.
// `ticks NUMBER ROUNDS`: until so many have come, and so many times around the loop. The handler looks where the program was interrupted and whether
// its flags are its own; a place outside of the program's and its libraries' own text is not.
#define _GNU_SOURCE
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include "output.h"

static struct {
  unsigned long start, end;
} texts[64];
static int texts_count;
static volatile long ticks, elsewhere, stepped, inside;
extern char place_1[], behind_8[];
volatile long cell = 5;

static int note_text(struct dl_phdr_info *info, size_t size, void *data) {
  for (int i = 0; i < info->dlpi_phnum && texts_count < 64; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    texts[texts_count].start = info->dlpi_addr + part->p_vaddr;
    texts[texts_count++].end = info->dlpi_addr + part->p_vaddr + part->p_memsz;
  }
  return 0;
}

static void tick(int signal, siginfo_t *info, void *context) {
  const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  unsigned long at = registers[REG_RIP];
  int own = 0;
  for (int i = 0; i < texts_count; i++) own |= at >= texts[i].start && at < texts[i].end;
  ticks++;
  elsewhere += !own;
  stepped += (registers[REG_EFL] & 0x100) != 0;
  inside += at >= (unsigned long)place_1 && at < (unsigned long)behind_8;
}

__attribute__((noinline)) static long loop(long value) {
  long other = 3;
  __asm__ volatile(
#define LABEL(n) ".globl place_" #n "\n.type place_" #n ", @function\nplace_" #n ": "
      LABEL(1) "add $7, %0\n"
      LABEL(2) "imul $5, %0, %0\n"
      LABEL(3) "xor cell(%%rip), %0\n"
      LABEL(4) "push %0\n"
      LABEL(5) "rol $3, %0\n"
      LABEL(6) "pop %1\n"
      LABEL(7) "call 1f\n"
      "jmp behind_8\n"
      "1: sub %1, %0\n"
      LABEL(8) "ret\n"
      ".globl behind_8\nbehind_8:\n"
      : "+r"(value), "+r"(other)
      :
      : "memory", "cc");
  return value;
}

// What loop() must give, in C.
static long expected(long value) {
  value = ((value + 7) * 5) ^ cell;
  unsigned long turned = value;
  return (long)(turned << 3 | turned >> 61) - value;
}

int main(int count, char **words) {
  long wanted = count > 1 ? atol(words[1]) : 100, least = count > 2 ? atol(words[2]) : 1, calls = 0, wrong = 0, value = 1, check = 1;
  dl_iterate_phdr(note_text, 0);
  struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
  struct itimerval every = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  sigaction(SIGALRM, &action, 0);
  setitimer(ITIMER_REAL, &every, 0);
  while (ticks < wanted || calls < least) {
    calls++;
    value = loop(value);
    check = expected(check);
    wrong += value != check;
  }
  setitimer(ITIMER_REAL, &never, 0);
  printf("calls %ld wrong %ld elsewhere %ld stepped %ld\n", calls, wrong, elsewhere, stepped);
  // How many ticks fell on the labelled instructions differs from run to run; that some did is what counts.
  fprintf(stderr, "inside %ld of %ld\n", inside, ticks);
  return 0;
}
