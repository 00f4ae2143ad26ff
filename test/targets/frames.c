// Each case is one instruction that faults or traps. Whatever the program itself can see of that is
// printed: signal, code, address, every register and the flags, in the signal frame and behind the
// instruction, and the memory it worked on. A probe must not change a letter of it.
//
// Every case is gone through twice: the handler mends what was wrong and returns (the instruction
// is tried again), or it leaves by siglongjmp (it is not).
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "output.h"

// Fixed places, so that registers that hold them are the same in every run.
#define STACK 0x20000000L
#define PAGE 0x30000000L
#define GOOD 0x40000000L
#define SIZE 4096L

// BEHIND: is gone on behind, also on machines that leave the program counter at the instruction (int1, on AMD's under KVM).
enum mend { MAP, SKIP, DIVISOR, NOTHING, BEHIND };

extern char __executable_start[], end[];
static sigjmp_buf out;
static int leaving;
static const struct one *now;
long after[18], saved_rsp;
void (*entered)(void);
void enter(void), finish(void);
const long constant = 0x1234;

// Sets every register, the flags (CF, ZF, and all that the program may set but TF, DF, AC) and the
// stack, and goes to the case; `finish` saves them all.
__asm__(
    ".text\n"
    "enter: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rsp, saved_rsp(%rip)\n"
    "  mov $0x20000800, %esp; push $0x8c5; popfq\n"
    "  mov $0x1111, %eax; mov $0x2222, %ebx; mov $0, %ecx; mov $0, %edx\n"
    "  mov $0x30000000, %esi; mov $0x40000000, %edi; mov $0x40000100, %ebp\n"
    "  mov $0x8888, %r8d; mov $0x9999, %r9d; mov $0xaaaa, %r10d; mov $0xbbbb, %r11d\n"
    "  mov $0xcccc, %r12d; mov $0xdddd, %r13d; mov $0xeeee, %r14d; mov $0xffff, %r15d\n"
    "  jmp *entered(%rip)\n"
    "finish: mov %rax, after(%rip); mov %rbx, after+8(%rip); mov %rcx, after+16(%rip); mov %rdx, after+24(%rip)\n"
    "  mov %rsi, after+32(%rip); mov %rdi, after+40(%rip); mov %rbp, after+48(%rip); mov %rsp, after+56(%rip)\n"
    "  mov %r8, after+64(%rip); mov %r9, after+72(%rip); mov %r10, after+80(%rip); mov %r11, after+88(%rip)\n"
    "  mov %r12, after+96(%rip); mov %r13, after+104(%rip); mov %r14, after+112(%rip); mov %r15, after+120(%rip)\n"
    "  mov saved_rsp(%rip), %rsp; pushfq; popq after+128(%rip); push $0x202; popfq\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

#define CASES(each)                                                                        \
  each(popf_bad, MAP, 0x8d5, "mov $0x30000000, %esp", "popfq")                             \
  each(popf, NOTHING, 0, "push $0x8d5", "popfq")                                           \
  each(pushf_bad, MAP, 0, "mov $0x30001000, %esp", "pushfq")                               \
  each(pushf, NOTHING, 0, "mov $0x40000200, %esp", "pushfq")                               \
  each(adc_to, MAP, 7, "", "adc %rax, (%rsi)")                                             \
  each(adc_from, MAP, 7, "", "adc (%rsi), %rax")                                           \
  each(cmpxchg, MAP, 0x1111, "", "lock cmpxchg %rbx, (%rsi)")                              \
  each(cmpxchg_other, MAP, 5, "", "cmpxchg %rbx, (%rsi)")                                  \
  each(xadd, MAP, 5, "", "lock xadd %rax, (%rsi)")                                         \
  each(xchg, MAP, 5, "", "xchg %rax, (%rsi)")                                              \
  each(shift, MAP, -1, "", "shll $3, (%rsi)")                                              \
  each(div, DIVISOR, 0, "", "div %rcx")                                                    \
  each(idiv_bad, MAP, 7, "", "idivl (%rsi)")                                               \
  each(push_from, MAP, 5, "", "pushq (%rsi)")                                              \
  each(push_to, MAP, 5, "mov $0x30001000, %esp", "push %rbx")                              \
  each(push_sp, MAP, 5, "mov $0x30001000, %esp", "push %rsp")                              \
  each(pop_to, MAP, 5, "push $77", "popq (%rsi)")                                          \
  each(pop_from, MAP, 5, "mov $0x30000000, %esp", "pop %rbx")                              \
  each(call_to, MAP, (long)finish, "", "call *(%rsi)")                                     \
  each(call_stack, MAP, 5, "mov $0x30001000, %esp", "call finish")                         \
  each(ret_stack, MAP, (long)finish, "mov $0x30000000, %esp", "ret")                       \
  each(jump_to, MAP, (long)finish, "", "jmp *(%rsi)")                                      \
  each(leave_bad, MAP, 5, "mov $0x30000000, %ebp", "leave")                                \
  each(movsq, MAP, 5, "", "movsq")                                                         \
  each(lodsb, MAP, 5, "", "lodsb")                                                         \
  each(scasw, MAP, 5, "mov $0x30000000, %edi", "scasw")                                    \
  each(rep_movsb, MAP, 5, "mov $0x3000, %ecx; mov $0x3ffff000, %esi; mov $0x2ffff000, %edi", "rep movsb") \
  each(rep_stosq, MAP, 5, "mov $100, %ecx; mov $0x2ffffe00, %edi", "rep stosq")            \
  each(repe_cmpsb, MAP, 0, "mov $0x400, %ecx; mov $0x2ffffe00, %esi; mov $0x3ffffe00, %edi", "repe cmpsb") \
  each(rip_relative, SKIP, 7, "", "mov %rax, constant(%rip)")                              \
  each(not_canonical, SKIP, 3, "mov $0x8000000000000000, %rsi", "mov (%rsi), %rax")        \
  each(unaligned, SKIP, 3, "add $1, %rdi", "movaps %xmm0, (%rdi)")                         \
  each(hlt, SKIP, 1, "", "hlt")                                                            \
  each(cli, SKIP, 1, "", "cli")                                                            \
  each(in, SKIP, 1, "", "in %dx, %al")                                                     \
  each(ud2, SKIP, 2, "", "ud2")                                                            \
  each(int3, NOTHING, 0, "", "int3")                                                       \
  each(int_3, NOTHING, 0, "", ".byte 0xcd, 3")                                             \
  each(icebp, BEHIND, 1, "", ".byte 0xf1")                                                 \
  each(int_33, SKIP, 2, "", "int $0x21")                                                   \
  each(int_80, SKIP, 2, "mov $0x7fff, %eax", "int $0x80")                                  \
  each(sse_divide, SKIP, 3, "movq $0x1f00, -8(%rsp); ldmxcsr -8(%rsp); xorps %xmm0, %xmm0; xorps %xmm1, %xmm1", "divps %xmm1, %xmm0") \
  each(prefetch, NOTHING, 0, "", "prefetcht0 (%rsi)")                                      \
  each(syscall_bad, NOTHING, 0, "mov $39, %eax; mov $0, %eax; mov $-1, %edi", "syscall")

#define DEFINE(name, mend, value, setup, instruction)                                           \
  __asm__(".globl case_" #name "\n.type case_" #name ", @function\nbegin_" #name ": " setup "\n" \
          "case_" #name ": " instruction "\n jmp finish\n");                                    \
  extern char case_##name[];                                                                    \
  void begin_##name(void);
CASES(DEFINE)

struct one {
  const char *name;
  enum mend mend;
  long value;
  void (*begin)(void);
  char *at;
};
#define ENTRY(name, mend, value, setup, instruction) {#name, mend, value, begin_##name, case_##name},

static const struct one cases[] = {CASES(ENTRY)};
static const char *const kinds[] = {"return", "leave"};
static const char *const mends[] = {[MAP] = "again", [DIVISOR] = "again", [SKIP] = "skip", [NOTHING] = "-", [BEHIND] = "-"};

// Addresses of the program itself differ from run to run: told from the case's own instruction.
static const char *shown(long value) {
  static char texts[32][32];
  static int next;
  char *text = texts[next++ % 32];
  if (value >= (long)__executable_start && value < (long)end) sprintf(text, "code%+ld", value - (long)now->at);
  else sprintf(text, "%lx", value);
  return text;
}

static void handler(int signal, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  printf("  signal %d code %d", signal, info->si_code);
  printf(" address %s", shown((long)info->si_addr));
  printf(" trap %lld error %llx rip %s flags %llx\n   ", r[REG_TRAPNO], r[REG_ERR], shown(r[REG_RIP]), r[REG_EFL]);
  for (int i = 0; i < REG_RIP; i++) printf(" %s", shown(r[i]));
  printf("\n");
  if (leaving) siglongjmp(out, 1);
  switch (now->mend) {
    case MAP: mprotect((void *)(PAGE - SIZE), 3 * SIZE, PROT_READ | PROT_WRITE); break;
    case SKIP: r[REG_RIP] += now->value; break;
    case DIVISOR: r[REG_RCX] = 3; break;
    case NOTHING: break;
    case BEHIND: if (r[REG_RIP] == (long)now->at) r[REG_RIP] += now->value; break;
  }
}

static void map(long at, long size) {
  mmap((void *)at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static unsigned long hash(const unsigned char *bytes, long size) {
  unsigned long h = 14695981039346656037UL;
  for (long i = 0; i < size; i++) h = (h ^ bytes[i]) * 1099511628211UL;
  return h;
}

static void go(const struct one *one) {
  const long value = one->value;
  now = one;
  printf("%s %s %s\n", kinds[leaving], one->name, mends[one->mend]);
  // Up to PAGE everything is there, from there on nothing.
  map(PAGE - SIZE, 3 * SIZE);
  map(GOOD - SIZE, 3 * SIZE);
  for (long i = 0; i < 512; i++) ((long *)PAGE)[i] = ((long *)GOOD)[i] = value;
  mprotect((void *)PAGE, 2 * SIZE, PROT_NONE);
  entered = one->begin;
  if (sigsetjmp(out, 1) == 0) {
    enter();
    printf("  behind, flags %lx:", after[16]);
    for (int i = 0; i < 16; i++) printf(" %s", shown(after[i]));
    printf("\n");
  } else {
    printf("  left\n");
  }
  mprotect((void *)(PAGE - SIZE), 3 * SIZE, PROT_READ | PROT_WRITE);
  printf("  first %s last %s stack %s good %s %s", shown(*(long *)PAGE), shown(*(long *)(PAGE + SIZE - 8)), shown(*(long *)(STACK + 0x7f8)), shown(*(long *)GOOD), shown(*(long *)(GOOD + 0x1f8)));
  if (value < 0x10000) printf(" hash %lx", one->mend == MAP && strncmp(one->name, "call", 4) ? hash((void *)(PAGE - SIZE), 3 * SIZE) : 0);
  printf("\n");
}

int main(void) {
  static char signal_stack[65536];
  stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
  static char buffer[1 << 16];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  sigaltstack(&stack, 0);
  for (int i = 0; i < 5; i++) sigaction(signals[i], &action, 0);
  map(STACK, SIZE);
  for (leaving = 0; leaving < 2; leaving++)
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++)
      go(&cases[i]);
  return 0;
}
