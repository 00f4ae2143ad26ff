// What runs another system's programs does: threads with an alternate stack each, all handlers on it, that leave
// for a stack of the guest's by rewriting the context they return to, or stay on the alternate stack; faults, traps
// and single steps of the guest are its own affair; and a timer's signals come in between.
#include "check.h"
#include <setjmp.h>
#include <ucontext.h>

#define THREADS 4
#define ROUNDS 60
#define STACK (64 * 1024)
#define TRAP_FLAG 0x100
#define STEPS 3

extern char behind_store[], behind_division[], behind_int3[];

struct guest {
  gregset_t host;
  sigset_t mask;
  sigjmp_buf out;
  char *stack, *alternate;
  int on_alternate, faults, divisions, illegal, breakpoints, steps, work;
};

static _Thread_local struct guest *self;
static volatile int ticks;

static int is_on(const char *stack, const void *address) {
  return (const char *)address >= stack && (const char *)address < stack + STACK;
}

static void on_fault(int signal, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  int here;
  MUST(is_on(self->alternate, &here));
  MUST(is_on(self->on_alternate ? self->alternate : self->stack, (void *)registers[REG_RSP]));
  if (signal == SIGSEGV) {
    MUST(info->si_code == SEGV_MAPERR && info->si_addr == (void *)8);
    registers[REG_RIP] = (greg_t)behind_store;
    self->faults++;
  } else if (signal == SIGFPE) {
    MUST(info->si_code == FPE_INTDIV);
    registers[REG_RIP] = (greg_t)behind_division;
    self->divisions++;
  } else if (signal == SIGILL) {
    registers[REG_RIP] += 2;
    self->illegal++;
  } else if (info->si_code == SI_KERNEL) {
    MUST((char *)registers[REG_RIP] == behind_int3);
    self->breakpoints++;
  } else {
    MUST(info->si_code == TRAP_TRACE);
    if (++self->steps % STEPS == 0) registers[REG_EFL] &= ~TRAP_FLAG;
  }
}

__attribute__((noinline, noclone)) static void misbehave(void) {
  __asm__ volatile(
      "movl $0, 8\nbehind_store: xorl %%eax, %%eax\n cltd\n idivl %%eax\nbehind_division: ud2\n int3\nbehind_int3: nop\n"
      "subq $128, %%rsp\n pushfq\n orl $0x100, (%%rsp)\n popfq\n nop\n nop\n nop\n addq $128, %%rsp\n"
      ".globl behind_store, behind_division, behind_int3\n" ::: "rax", "rdx", "cc", "memory");
}

__attribute__((noinline)) static void work(void) {
  char text[64];
  misbehave();
  snprintf(text, sizeof text, "%d %s", self->work, "done");
  self->work += atoi(text) == self->work;
}

/** Entered by no call; left by a signal. */
static void guest_main(void) {
  int here;
  MUST(is_on(self->stack, &here));
  work();
  syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2);
  MUST(!"come here");
}

static void on_enter(int signal, siginfo_t *info, void *context) {
  ucontext_t *state = context;
  MUST(signal == SIGUSR1 && info->si_code == SI_TKILL);
  if (self->on_alternate) {
    work();
    siglongjmp(self->out, 1);
  }
  memcpy(self->host, state->uc_mcontext.gregs, sizeof self->host);
  self->mask = state->uc_sigmask;
  state->uc_mcontext.gregs[REG_RSP] = (greg_t)(self->stack + STACK - 8);
  state->uc_mcontext.gregs[REG_RIP] = (greg_t)guest_main;
}

static void on_leave(int signal, siginfo_t *info, void *context) {
  ucontext_t *state = context;
  MUST(signal == SIGUSR2 && info->si_pid == getpid());
  memcpy(state->uc_mcontext.gregs, self->host, sizeof self->host);
  state->uc_sigmask = self->mask;
}

static void on_tick(int signal) {
  (void)signal;
  ticks++;
}

static char *map_stack(void) {
  char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(stack != MAP_FAILED);
  return stack;
}

static void *run(void *unused) {
  struct guest guest = {.stack = map_stack(), .alternate = map_stack()};
  stack_t alternate = {.ss_sp = guest.alternate, .ss_size = STACK}, now;
  self = &guest;
  MUST(sigaltstack(&alternate, NULL) == 0);
  for (volatile int i = 0; i < ROUNDS; i++) {
    guest.on_alternate = i % 2;
    if (sigsetjmp(guest.out, 1) == 0) MUST(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1) == 0);
    MUST(sigaltstack(NULL, &now) == 0 && now.ss_flags == 0 && now.ss_sp == guest.alternate);
  }
  MUST(guest.faults == ROUNDS && guest.divisions == ROUNDS && guest.illegal == ROUNDS);
  MUST(guest.breakpoints == ROUNDS && guest.steps == ROUNDS * STEPS && guest.work == ROUNDS);
  return unused;
}

int main(void) {
  pthread_t threads[THREADS];
  struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  for (const int *each = (const int[]){SIGSEGV, SIGFPE, SIGILL, SIGTRAP, 0}; *each != 0; each++)
    handle_info(*each, on_fault, SA_ONSTACK);
  handle_info(SIGUSR1, on_enter, SA_ONSTACK);
  handle_info(SIGUSR2, on_leave, SA_ONSTACK);
  handle(SIGALRM, on_tick, SA_ONSTACK | SA_RESTART);
  MUST(setitimer(ITIMER_REAL, &often, NULL) == 0);
  for (int i = 0; i < THREADS; i++) MUST(pthread_create(&threads[i], NULL, run, NULL) == 0);
  for (int i = 0; i < THREADS; i++) MUST(pthread_join(threads[i], NULL) == 0);
  run(NULL);
  while (ticks < 3) sleep_ms(1);
  MUST(setitimer(ITIMER_REAL, &never, NULL) == 0);
  return passed();
}
