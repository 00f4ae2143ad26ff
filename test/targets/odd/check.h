// What the self-checking programs of this folder share. Each ends with status 0 and the line "passed", with
// status 0 and a line "skipped: …" where the kernel does not offer what it is about, or with status 1.
#ifndef CHECK_H
#define CHECK_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(condition)                                                                     \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      dprintf(2, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);  \
      _exit(1);                                                                             \
    }                                                                                       \
  } while (0)

static inline int passed(void) {
  puts("passed");
  return 0;
}

__attribute__((unused)) static int skipped(const char *why) {
  printf("skipped: %s\n", why);
  return 0;
}

__attribute__((unused)) static void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  MUST(sigaction(signal, &action, NULL) == 0);
}

__attribute__((unused)) static void handle_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
  MUST(sigaction(signal, &action, NULL) == 0);
}

__attribute__((unused)) static sigset_t set_of(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  return set;
}

__attribute__((unused)) static void block(int signal) {
  sigset_t set = set_of(signal);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

__attribute__((unused)) static void unblock(int signal) {
  sigset_t set = set_of(signal);
  MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
}

/** Ends with the exit status of a child, or 128 + its signal. */
__attribute__((unused)) static int ending(pid_t child) {
  int status;
  pid_t got;
  while ((got = waitpid(child, &status, 0)) < 0 && errno == EINTR) continue;
  MUST(got == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

__attribute__((unused)) static void sleep_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&time, &time) != 0 && errno == EINTR) continue;
}

/** Waits until a thread of any process is in one of the states of /proc/PID/stat, e.g. "S" or "tT". */
__attribute__((unused)) static void until_state(pid_t thread, const char *states) {
  char name[64], text[512];
  snprintf(name, sizeof name, "/proc/%d/stat", thread);
  for (;;) {
    int file = open(name, O_RDONLY);
    MUST(file >= 0);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    MUST(length > 0);
    text[length] = 0;
    if (strchr(states, strrchr(text, ')')[2]) != NULL) return;
    sched_yield();
  }
}
#endif
