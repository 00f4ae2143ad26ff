// System calls whose instruction is a label of its own: what they leave in rcx and r11, where a child
// begins, where an interrupted call is taken up again, and calls that do not come back.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include "output.h"

#define PLACE(name) ".globl " #name "\n.type " #name ", @function\n" #name ": "

static long behind_rcx, behind_flags;
extern char the_getpid[], the_read[], the_nanosleep[], the_pause[];


__attribute__((noinline)) static long get_pid(void) {
  long result;
  __asm__ volatile("xor %%eax, %%eax\n mov $39, %%eax\n stc\n" PLACE(the_getpid) "syscall\n mov %%rcx, %1\n mov %%r11, %2"
                   : "=&a"(result), "=m"(behind_rcx), "=m"(behind_flags)
                   :
                   : "rcx", "r11", "memory", "cc");
  return result;
}

__attribute__((noinline)) static long fork_here(void) {
  long result;
  __asm__ volatile("mov $56, %%eax\n mov $17, %%edi\n xor %%esi, %%esi\n xor %%edx, %%edx\n xor %%r10d, %%r10d\n xor %%r8d, %%r8d\n" PLACE(
                       the_fork) "syscall"
                   : "=&a"(result)
                   :
                   : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r10", "memory", "cc");
  return result;
}

// The child shares the parent's stack until it ends: it must not touch it.
__attribute__((noinline)) static long vfork_here(void) {
  long result;
  __asm__ volatile("mov $58, %%eax\n" PLACE(the_vfork) "syscall\n test %%rax, %%rax\n jnz 1f\n"
                   "mov $60, %%eax\n mov $7, %%edi\n" PLACE(the_vfork_exit) "syscall\n ud2\n 1:"
                   : "=&a"(result)
                   :
                   : "rcx", "r11", "rdi", "memory", "cc");
  return result;
}

static volatile long thread_sum, thread_gone;

// A thread made by hand: its stack is new, its first instruction is the one behind the call.
__attribute__((noinline)) static long thread_here(char *stack_end) {
  long result;
  __asm__ volatile(
      "mov $56, %%eax\n mov $0x250f00, %%edi\n mov %1, %%rsi\n xor %%edx, %%edx\n lea thread_gone(%%rip), %%r10\n xor %%r8d, %%r8d\n" PLACE(
          the_clone) "syscall\n test %%rax, %%rax\n jnz 1f\n"
      "push $21\n pop %%rax\n add %%rax, %%rax\n mov %%rax, thread_sum(%%rip)\n"
      "mov $60, %%eax\n xor %%edi, %%edi\n" PLACE(the_thread_exit) "syscall\n ud2\n 1:"
      : "=&a"(result)
      : "r"(stack_end)
      : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r10", "memory", "cc");
  return result;
}

__attribute__((noinline)) static long read_here(int file, void *into, long size) {
  long result;
  __asm__ volatile(PLACE(the_read) "syscall" : "=a"(result) : "0"(SYS_read), "D"((long)file), "S"(into), "d"(size) : "rcx", "r11", "memory", "cc");
  return result;
}

__attribute__((noinline)) static long sleep_here(const struct timespec *time) {
  long result;
  __asm__ volatile(PLACE(the_nanosleep) "syscall" : "=a"(result) : "0"(SYS_nanosleep), "D"(time), "S"(0L) : "rcx", "r11", "memory", "cc");
  return result;
}

__attribute__((noinline)) static long pause_here(void) {
  long result;
  __asm__ volatile(PLACE(the_pause) "syscall" : "=a"(result) : "0"(SYS_pause) : "rcx", "r11", "memory", "cc");
  return result;
}

__attribute__((noinline)) static long exec_here(const char *path, char *const *words) {
  long result;
  __asm__ volatile(PLACE(the_execve) "syscall" : "=a"(result) : "0"(SYS_execve), "D"(path), "S"(words), "d"(environ) : "rcx", "r11", "memory", "cc");
  return result;
}

__attribute__((noinline, noreturn)) static void exit_here(long status) {
  __asm__ volatile(PLACE(the_exit) "syscall\n ud2" : : "a"(SYS_exit_group), "D"(status));
  __builtin_unreachable();
}

// The way back from a signal handler is a system call, too, and never returns.
void restorer(void);
__asm__(".text\nrestorer: mov $15, %eax\n" PLACE(the_sigreturn) "syscall\n ud2\n");

struct kernel_action {
  void (*handler)(int, siginfo_t *, void *);
  unsigned long flags;
  void (*restorer)(void);
  unsigned long mask;
};

static volatile long signals, interrupted_at, feed = -1;

static void note(int signal, siginfo_t *info, void *context) {
  const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  long at = registers[REG_RIP];
  signals++;
  // Told from the nearest of the places: an address of the program itself differs from run to run.
  const char *const places[] = {the_read, the_nanosleep, the_pause};
  interrupted_at = 0;
  for (int i = 0; i < 3; i++)
    if (at - (long)places[i] >= 0 && at - (long)places[i] <= 2) interrupted_at = 100 * (i + 1) + at - (long)places[i];
  if (feed >= 0 && write(feed, "fed", 3) != 3) _exit(3);
}

static void handle(int signal, unsigned long flags) {
  struct kernel_action action = {note, SA_SIGINFO | 0x04000000 | flags, restorer, 0};
  if (syscall(SYS_rt_sigaction, signal, &action, 0, 8)) _exit(4);
}

static long status_of(long child) {
  int status = -1;
  if (waitpid(child, &status, __WALL) != child) return -1;
  return status;
}

/** A child that signals us once we are in a system call, and stops and continues us where told. */
static long disturber(int signal) {
  long child = fork();
  if (child != 0) return child;
  struct timespec moment = {0, 60000000};
  nanosleep(&moment, 0);
  kill(getppid(), signal);
  if (signal == SIGSTOP) {
    nanosleep(&moment, 0);
    kill(getppid(), SIGCONT);
  }
  _exit(0);
}

int main(int count, char **words) {
  char text[8] = "";
  int ends[2];
  for (int i = 0; i < 3; i++) {
    long pid = get_pid();
    printf("getpid %d rcx %+ld flags %lx\n", pid == getpid(), behind_rcx - (long)the_getpid, behind_flags & 0xfff);
  }
  fflush(stdout);
  // A forked child goes on behind the call, and calls on its own.
  long child = fork_here();
  if (child == 0) {
    long pid = get_pid();
    exit_here(pid == getpid() && behind_rcx == (long)the_getpid + 2 ? 5 : 6);
  }
  printf("fork %d status %lx\n", child > 0, status_of(child));
  child = vfork_here();
  printf("vfork %d status %lx\n", child > 0, status_of(child));
  char *stack = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  thread_gone = 1;
  long thread = thread_here(stack + 65536);
  while (*(volatile int *)&thread_gone != 0) sched_yield();
  printf("clone %d sum %ld\n", thread > 0, thread_sum);
  // Interrupted by a handler that asks for the call to be made again: the read begins anew, and is fed.
  if (pipe(ends)) return 5;
  feed = ends[1];
  handle(SIGUSR1, SA_RESTART);
  child = disturber(SIGUSR1);
  long got = read_here(ends[0], text, 3);
  printf("read %ld %.3s signals %ld at %ld status %lx\n", got, text, signals, interrupted_at, status_of(child));
  feed = -1;
  // Interrupted by a handler that does not ask: EINTR.
  handle(SIGUSR2, 0);
  child = disturber(SIGUSR2);
  got = pause_here();
  printf("pause %ld signals %ld at %ld status %lx\n", got, signals, interrupted_at, status_of(child));
  // Stopped and continued: the kernel takes the sleep up again by restart_syscall.
  struct timespec nap = {0, 250000000}, before, after;
  child = disturber(SIGSTOP);
  clock_gettime(CLOCK_MONOTONIC, &before);
  got = sleep_here(&nap);
  clock_gettime(CLOCK_MONOTONIC, &after);
  long took = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
  printf("nanosleep %ld long enough %d status %lx\n", got, took >= 250 && took < 5000, status_of(child));
  // A handler's way back.
  raise(SIGUSR1);
  printf("signals %ld\n", signals);
  printf("execve %ld\n", exec_here("/nonexistent", words));
  printf("execve %ld\n", exec_here((char *)8, words));
  fflush(stdout);
  char *const again[] = {"true", 0};
  child = fork_here();
  if (child == 0) {
    exec_here("/bin/true", again);
    exit_here(9);
  }
  printf("child's execve, status %lx\n", status_of(child));
  fflush(stdout);
  exit_here(0);
}
