// Programs that check themselves and must live on when their tracer dies: survivors MODE ROUNDS.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone))

OWN int work(int n) {
  __asm__ volatile("" ::: "memory");
  return n * 3 + 1;
}

OWN long walk(int n) {
  long sum = 0;
  for (int i = 0; i < n; i++) sum += work(i);
  return sum;
}

OWN long use_library(long n) {
  char text[64];
  snprintf(text, sizeof text, "%ld", n);
  char *copy = strdup(text);
  long length = (long)strlen(copy);
  free(copy);
  return length;
}

OWN long call(int n) {
  long id = syscall(SYS_getpid);
  return id == getpid() ? work(n) : 0;
}

static int (*volatile indirectly)(int) = work;

OWN int recurse(int n) { return n == 0 ? 1 : (recurse(n - 1) * 3 + indirectly(n)) % 1000003; }

static __thread jmp_buf back;

OWN void jump(int n) {
  if (n > 3) longjmp(back, n);
  walk(n);
}

static long one_round(int i) {
  volatile long sum = walk(20) + use_library(i * 7919L) + call(i) + recurse(10);
  int came = setjmp(back);
  if (came == 0) jump(i % 8);
  return sum + came;
}

static long rounds(int count) {
  long sum = 0;
  for (int i = 0; i < count; i++) sum = (sum * 31 + one_round(i)) % 1000000007;
  return sum;
}

static void *in_thread(void *count) { return (void *)rounds((int)(long)count); }

static long threads(int count) {
  enum { THREADS = 6 };
  pthread_t all[THREADS];
  long sum = 0;
  for (int i = 0; i < THREADS; i++) pthread_create(&all[i], NULL, in_thread, (void *)(long)(count / THREADS));
  for (int i = 0; i < THREADS; i++) {
    void *result;
    pthread_join(all[i], &result);
    sum += (long)result;
  }
  return sum;
}

static volatile long in_handler;

static void on_alarm(int signal) {
  (void)signal;
  in_handler = walk(5);
}

static long signals(int count) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval often = {{0, 2000}, {0, 2000}};
  setitimer(ITIMER_REAL, &often, NULL);
  long sum = 0;
  for (int i = 0; i < count; i++) sum = (sum * 31 + walk(20) + use_library(i) + recurse(10)) % 1000000007;
  memset(&often, 0, sizeof often);
  setitimer(ITIMER_REAL, &often, NULL);
  return sum + (in_handler == 0 || in_handler == walk(5) ? 0 : 1);
}

extern char **environ;

static long processes(int count) {
  long sum = 0;
  for (int i = 0; i < 40; i++) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) _exit((int)(rounds(count / 40) % 250));
    int status;
    while (waitpid(child, &status, 0) != child);
    if (WIFSIGNALED(status)) printf("copy %d: signal %d\n", i, WTERMSIG(status));
    sum = sum * 7 + status;
    char *words[] = {"true", NULL};
    if (posix_spawn(&child, "/bin/true", NULL, NULL, words, environ) != 0) return -1;
    while (waitpid(child, &status, 0) != child);
    if (WIFSIGNALED(status)) printf("spawned %d: signal %d\n", i, WTERMSIG(status));
    sum = (sum * 7 + status) % 1000000007;
  }
  return sum;
}

int main(int count, char **words) {
  if (count < 3) return 2;
  int n = atoi(words[2]);
  long sum = strcmp(words[1], "plain") == 0     ? rounds(n)
             : strcmp(words[1], "threads") == 0 ? threads(n)
             : strcmp(words[1], "signals") == 0 ? signals(n)
             : strcmp(words[1], "processes") == 0 ? processes(n)
                                                  : 0;
  printf("%s %ld\n", words[1], sum);
  fflush(stdout);
  return 7;
}
