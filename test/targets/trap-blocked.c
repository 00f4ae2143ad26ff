// What becomes of SIGTRAP in a program that blocks it, ignores it, waits for it or catches it: one line
// for each, the same whether the functions that are called meanwhile are probed or not.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t caught, usr;

__attribute__((noinline, noclone)) int work(int n) {
  __asm__ volatile("" ::: "memory");
  return n * 3 + 1;
}

__attribute__((noinline, noclone)) int walk(int n) {
  int sum = 0;
  for (int i = 0; i < n; i++) sum += work(i);
  return sum;
}

static int is_blocked(void) {
  sigset_t now;
  sigprocmask(SIG_BLOCK, NULL, &now);
  return sigismember(&now, SIGTRAP);
}

static const char *disposition(void) {
  struct sigaction now;
  sigaction(SIGTRAP, NULL, &now);
  return now.sa_handler == SIG_DFL ? "default" : now.sa_handler == SIG_IGN ? "ignored" : "caught";
}

static void show(const char *what) {
  printf("%-34s blocked %d %s caught %d sum %d\n", what, is_blocked(), disposition(), (int)caught, walk(50));
  fflush(stdout);
}

static void on_trap(int signal, siginfo_t *info, void *context) {
  (void)context;
  walk(3);
  caught += signal == SIGTRAP ? 1 : 100;
  if (info->si_code == SI_QUEUE) caught += 1000 * info->si_value.sival_int;
}

static void on_usr(int signal) {
  (void)signal;
  walk(3);
  usr = usr * 10 + is_blocked();
}

static void mask(int how, int signal) {
  sigset_t set;
  sigemptyset(&set);
  if (signal == 0) sigfillset(&set);
  else sigaddset(&set, signal);
  pthread_sigmask(how, &set, NULL);
}

static void *blocked_thread(void *unused) {
  (void)unused;
  walk(10);
  show("thread, inherited");
  mask(SIG_UNBLOCK, SIGTRAP);
  walk(10);
  show("thread, unblocked");
  return NULL;
}

int main(void) {
  struct sigaction action = {.sa_flags = SA_SIGINFO};
  sigset_t trap;
  sigemptyset(&trap);
  sigaddset(&trap, SIGTRAP);

  show("at first");
  mask(SIG_BLOCK, SIGTRAP);
  show("blocked");
  raise(SIGTRAP);
  show("one is pending");
  siginfo_t got;
  walk(10);
  int signal = sigwaitinfo(&trap, &got);
  printf("sigwaitinfo %d code %d\n", signal, got.si_code == SI_TKILL);
  kill(getpid(), SIGTRAP);
  walk(10);
  signal = sigwaitinfo(&trap, &got);
  printf("sigwaitinfo %d code %d\n", signal, got.si_code == SI_USER);

  int descriptor = signalfd(-1, &trap, SFD_NONBLOCK | SFD_CLOEXEC);
  sigqueue(getpid(), SIGTRAP, (union sigval){.sival_int = 7});
  walk(10);
  struct signalfd_siginfo record;
  ssize_t length = read(descriptor, &record, sizeof record);
  printf("signalfd %zd signal %u value %d\n", length, record.ssi_signo, record.ssi_int);
  length = read(descriptor, &record, sizeof record);
  printf("signalfd again %zd %s\n", length, strerror(errno));

  pthread_t thread;
  pthread_create(&thread, NULL, blocked_thread, NULL);
  pthread_join(thread, NULL);
  show("after a thread");

  fflush(stdout);
  if (fork() == 0) {
    show("child");
    execl("/proc/self/exe", "child", NULL);
    _exit(9);
  }
  int status;
  wait(&status);
  printf("child %x\n", status);

  mask(SIG_UNBLOCK, SIGTRAP);
  show("unblocked");

  action.sa_sigaction = on_trap;
  sigaction(SIGTRAP, &action, NULL);
  show("caught");
  raise(SIGTRAP);
  __asm__ volatile("int3");
  show("raised and trapped");
  mask(SIG_BLOCK, 0);
  show("caught, all blocked");
  sigqueue(getpid(), SIGTRAP, (union sigval){.sival_int = 5});
  walk(20);
  show("and pending");
  mask(SIG_UNBLOCK, 0);
  show("and delivered");

  struct sigaction filled = {.sa_handler = on_usr};
  sigfillset(&filled.sa_mask);
  sigaction(SIGUSR1, &filled, NULL);
  raise(SIGUSR1);
  show("after a handler that blocks all");
  struct sigaction open = {.sa_handler = on_usr};
  sigaction(SIGUSR1, &open, NULL);
  raise(SIGUSR1);
  mask(SIG_BLOCK, SIGTRAP);
  raise(SIGUSR1);
  show("after handlers");
  printf("in handlers %d\n", (int)usr);

  struct sigaction ignore = {.sa_handler = SIG_IGN};
  sigaction(SIGTRAP, &ignore, NULL);
  show("ignored and blocked");
  mask(SIG_UNBLOCK, SIGTRAP);
  show("ignored");
  raise(SIGTRAP);
  kill(getpid(), SIGTRAP);
  show("ignored, and sent");
  fflush(stdout);
  if (fork() == 0) {
    show("child of one that ignores");
    execl("/proc/self/exe", "child", NULL);
    _exit(9);
  }
  wait(&status);
  printf("child %x\n", status);

  struct sigaction once = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_RESETHAND};
  sigaction(SIGTRAP, &once, NULL);
  show("once");
  raise(SIGTRAP);
  show("once is over");
  fflush(stdout);
  if (fork() == 0) {
    raise(SIGTRAP);
    _exit(0);
  }
  wait(&status);
  printf("child that raised it: signal %d\n", WTERMSIG(status));
  printf("bye\n");
  return 0;
}

__attribute__((constructor)) static void as_child(int argc, char **argv) {
  if (argc < 1 || strcmp(argv[0], "child") != 0) return;
  show("executed");
  exit(3);
}
