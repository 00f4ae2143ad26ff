/*
 * Runs handlers that were compiled to machine code on the processor, and sees to what they leave behind.
 *
 * usage: run-pieces check CASES RESULTS    each case for each of its sets of registers
 *        run-pieces threads CASES RESULTS THREADS HITS    the first case, by several threads at once
 *        run-pieces time CASES ROUNDS HITS    nanoseconds a hit of each case, a line each, one number a round;
 *                                             before them a line for a function that does nothing
 *
 * Layouts: struct test_case and struct test_result below; a case is followed by its code, data and fences, each
 * filled up to a multiple of 8 bytes, and its registers.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x20000000ull
#define CODE_LENGTH 0x100000ull
#define DATA 0x20200000ull
#define DATA_LENGTH 0x100000ull
#define MEMORY 0x20400000ull
#define MEMORY_LENGTH 0x1000ull
#define STACK 0x20500000ull
#define STACK_LENGTH 0x10000ull

#define RED_ZONE 128
/* Below the red zone: more than any handler may use. */
#define WATCHED 512
#define ABOVE 256

enum { RSP = 4, FLAGS = 16, REGISTERS = 17 };

struct test_case {
  uint32_t code_length, data_length, fences, runs;
  uint32_t entry, cancel, most_faults, reserved;
};

struct fence {
  uint32_t from, to, resume;
};

struct test_result {
  uint32_t wrong, signal, faults, stack_used;
  uint64_t pc;
  uint64_t registers[REGISTERS];
};

enum { WRONG_REGISTERS = 1, WRONG_STACK = 2, CRASHED = 4 };

uint64_t registers_in[REGISTERS], registers_out[REGISTERS], own_stack, goal;

/* Loads all registers and flags, skips the red zone and goes to the piece; what follows it comes back. */
__asm__(
    ".intel_syntax noprefix\n"
    ".text\n.globl enter_piece\nenter_piece:\n"
    "push rbx\npush rbp\npush r12\npush r13\npush r14\npush r15\n"
    "mov [rip+own_stack], rsp\n"
    "push [rip+registers_in+8*16]\npopfq\n"
    "mov rax, [rip+registers_in]\nmov rcx, [rip+registers_in+8]\nmov rdx, [rip+registers_in+16]\n"
    "mov rbx, [rip+registers_in+24]\nmov rsp, [rip+registers_in+32]\nmov rbp, [rip+registers_in+40]\n"
    "mov rsi, [rip+registers_in+48]\nmov rdi, [rip+registers_in+56]\nmov r8, [rip+registers_in+64]\n"
    "mov r9, [rip+registers_in+72]\nmov r10, [rip+registers_in+80]\nmov r11, [rip+registers_in+88]\n"
    "mov r12, [rip+registers_in+96]\nmov r13, [rip+registers_in+104]\nmov r14, [rip+registers_in+112]\n"
    "mov r15, [rip+registers_in+120]\n"
    "lea rsp, [rsp-128]\n"
    "jmp [rip+goal]\n"
    ".globl leave_piece\nleave_piece:\n"
    "mov [rip+registers_out], rax\nmov [rip+registers_out+8], rcx\nmov [rip+registers_out+16], rdx\n"
    "mov [rip+registers_out+24], rbx\nmov [rip+registers_out+32], rsp\nmov [rip+registers_out+40], rbp\n"
    "mov [rip+registers_out+48], rsi\nmov [rip+registers_out+56], rdi\nmov [rip+registers_out+64], r8\n"
    "mov [rip+registers_out+72], r9\nmov [rip+registers_out+80], r10\nmov [rip+registers_out+88], r11\n"
    "mov [rip+registers_out+96], r12\nmov [rip+registers_out+104], r13\nmov [rip+registers_out+112], r14\n"
    "mov [rip+registers_out+120], r15\n"
    "mov rsp, [rip+own_stack]\n"
    "pushfq\npop [rip+registers_out+8*16]\n"
    "push 0x202\npopfq\n"
    "pop r15\npop r14\npop r13\npop r12\npop rbp\npop rbx\nret\n"
    ".att_syntax\n");
void enter_piece(void);
void leave_piece(void);

static struct test_case one;
static struct fence *fences;
static volatile uint32_t faults, crash;
static volatile uint64_t crash_at;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* As the tracer does it: a fault of a fence goes on at its catch part, one too many ends the handler. */
static void on_fault(int signal, siginfo_t *info, void *context) {
  __asm__ volatile("pushfq\n andl $~0x40000, (%%rsp)\n popfq" ::: "memory", "cc");
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  uint64_t offset = (uint64_t)registers[REG_RIP] - CODE;
  /* SIGBUS for what is behind a file's end, and for no address at all through rbp; but nothing may be misaligned. */
  if (signal == SIGSEGV || (signal == SIGBUS && info->si_code != BUS_ADRALN))
    for (uint32_t index = 0; index < one.fences; index++)
      if (offset >= fences[index].from && offset < fences[index].to) {
        faults++;
        registers[REG_RIP] = (greg_t)(CODE + (faults > one.most_faults ? one.cancel : fences[index].resume));
        return;
      }
  if (offset >= CODE_LENGTH || crash != 0) _exit(70 + signal);
  crash = (uint32_t)signal;
  crash_at = offset;
  registers[REG_RIP] = (greg_t)(uintptr_t)leave_piece;
}

static uint8_t pattern(uint64_t at) { return (uint8_t)(at * 7 + (at >> 8)); }

static void fill(uint64_t at, uint64_t length) {
  for (uint64_t index = 0; index < length; index++) ((uint8_t *)at)[index] = pattern(at + index);
}

static void *map_at(uint64_t at, size_t length, int protection) {
  void *mapped = mmap((void *)at, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (mapped != (void *)at) fail("mmap");
  return mapped;
}

static uint8_t *take(FILE *file, size_t length) {
  size_t padded = (length + 7) & ~(size_t)7;
  uint8_t *bytes = malloc(padded + 8);
  if (bytes == NULL || fread(bytes, 1, padded, file) != padded) fail("a case");
  return bytes;
}

/* `lea rsp, [rsp+128]` and `jmp [rip+0]` to an address, or `ret`. */
static void put_end(uint8_t *at, int is_function) {
  static const uint8_t end[] = {0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0};
  memcpy(at, end, sizeof end);
  at += sizeof end;
  if (is_function) {
    *at = 0xc3;
    return;
  }
  uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0};
  /* Aligned, for those who have that checked. */
  jump[2] = (uint8_t)(-(uintptr_t)(at + sizeof jump) & 7);
  memcpy(at, jump, sizeof jump);
  uint64_t back = (uint64_t)(uintptr_t)leave_piece;
  memcpy(at + sizeof jump + jump[2], &back, 8);
}

/* Reads a case and puts its code and data where they belong. Returns its registers; 0 at the end. */
static uint64_t *next_case(FILE *file) {
  if (fread(&one, sizeof one, 1, file) != 1) return NULL;
  uint8_t *code = take(file, one.code_length), *data = take(file, one.data_length);
  free(fences);
  fences = (struct fence *)take(file, one.fences * sizeof *fences);
  if (one.code_length + 64 > CODE_LENGTH || one.data_length > DATA_LENGTH) fail("a case that long");
  memset((void *)CODE, 0xcc, one.code_length + 256);
  memcpy((void *)CODE, code, one.code_length);
  memset((void *)DATA, 0, DATA_LENGTH < one.data_length + 4096 ? DATA_LENGTH : one.data_length + 4096);
  memcpy((void *)DATA, data, one.data_length);
  free(code);
  free(data);
  return (uint64_t *)take(file, one.runs * sizeof registers_in);
}

static void check(FILE *cases, FILE *results) {
  uint64_t *registers;
  while ((registers = next_case(cases)) != NULL) {
    put_end((uint8_t *)CODE + one.code_length, 0);
    for (uint32_t run = 0; run < one.runs; run++) {
      struct test_result result = {0};
      memcpy(registers_in, registers + run * REGISTERS, sizeof registers_in);
      uint64_t top = registers_in[RSP], low = top - RED_ZONE - WATCHED;
      fill(low, RED_ZONE + WATCHED + ABOVE);
      faults = crash = 0;
      crash_at = 0;
      goal = CODE + one.entry;
      enter_piece();
      memcpy(result.registers, registers_out, sizeof registers_out);
      result.faults = faults;
      result.signal = crash;
      result.pc = crash_at;
      if (crash != 0) result.wrong |= CRASHED;
      if (memcmp(registers_in, registers_out, sizeof registers_in) != 0) result.wrong |= WRONG_REGISTERS;
      for (uint64_t at = top - RED_ZONE; at < top + ABOVE; at++)
        if (*(uint8_t *)at != pattern(at)) result.wrong |= WRONG_STACK;
      for (uint64_t at = low; at < top - RED_ZONE; at++)
        if (*(uint8_t *)at != pattern(at)) {
          result.stack_used = (uint32_t)(top - RED_ZONE - at);
          break;
        }
      if (fwrite(&result, sizeof result, 1, results) != 1) fail("fwrite");
      if (fwrite((void *)DATA, 1, one.data_length, results) != one.data_length) fail("fwrite");
    }
    free(registers);
  }
}

static uint64_t hits;
static pthread_barrier_t start;

/* The piece as a function: what it is given is in rdi. */
static void *hit(void *function) {
  void (*piece)(uint64_t) = (void (*)(uint64_t))function;
  pthread_barrier_wait(&start);
  for (uint64_t index = 0; index < hits; index++) piece(index);
  return NULL;
}

/* Puts what skips the red zone in front; the piece's own lead does it where it has one. */
static void *as_function(void) {
  put_end((uint8_t *)CODE + one.code_length, 1);
  return (void *)(CODE + one.entry);
}

static void run_threads(FILE *cases, FILE *results, int count) {
  if (next_case(cases) == NULL) fail("a case");
  void *function = as_function();
  pthread_t threads[64];
  if (count > 64) fail("threads");
  pthread_barrier_init(&start, NULL, (unsigned)count);
  for (int index = 0; index < count; index++)
    if (pthread_create(&threads[index], NULL, hit, function) != 0) fail("pthread_create");
  for (int index = 0; index < count; index++) pthread_join(threads[index], NULL);
  if (fwrite((void *)DATA, 1, one.data_length, results) != one.data_length) fail("fwrite");
}

static double nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void measure(void *function, int rounds) {
  void (*piece)(uint64_t) = (void (*)(uint64_t))function;
  for (uint64_t index = 0; index < 10000; index++) piece(index);
  for (int round = 0; round < rounds; round++) {
    double from = nanoseconds();
    for (uint64_t index = 0; index < hits; index++) piece(index);
    printf("%s%.3f", round == 0 ? "" : " ", (nanoseconds() - from) / (double)hits);
  }
  printf("\n");
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  FILE *cases = fopen(argv[2], "rb");
  if (cases == NULL) fail("fopen");
  map_at(CODE, CODE_LENGTH, PROT_READ | PROT_WRITE | PROT_EXEC);
  map_at(DATA, DATA_LENGTH, PROT_READ | PROT_WRITE);
  map_at(STACK, STACK_LENGTH, PROT_READ | PROT_WRITE);
  map_at(MEMORY, MEMORY_LENGTH, PROT_READ | PROT_WRITE);
  fill(MEMORY, MEMORY_LENGTH);
  fill(STACK, STACK_LENGTH);

  static uint8_t alternate[65536];
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  if (sigaltstack(&stack, NULL) != 0) fail("sigaltstack");
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (size_t index = 0; index < sizeof signals / sizeof *signals; index++) sigaction(signals[index], &action, NULL);
  alarm(600);

  if (strcmp(argv[1], "time") == 0) {
    hits = strtoull(argv[4], NULL, 10);
    int rounds = atoi(argv[3]);
    *(uint8_t *)CODE = 0xc3;
    measure((void *)CODE, rounds);
    while (next_case(cases) != NULL) measure(as_function(), rounds);
    return 0;
  }
  FILE *results = fopen(argv[3], "wb");
  if (results == NULL) fail("fopen");
  if (strcmp(argv[1], "check") == 0) check(cases, results);
  else if (strcmp(argv[1], "threads") == 0 && argc == 6) {
    hits = strtoull(argv[5], NULL, 10);
    run_threads(cases, results, atoi(argv[4]));
  } else return 2;
  return fclose(results) == 0 ? 0 : 1;
}
