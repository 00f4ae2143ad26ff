// Waits in every way that a signal would end, a little at a time, and says so where one does: until SIGTERM.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile int over;
static volatile long waits;
static struct timespec little = {0, 20 * 1000 * 1000};

__attribute__((noinline)) void waited(void) { __atomic_add_fetch(&waits, 1, __ATOMIC_RELAXED); }

/** `right`: how the wait ends by itself. */
static void check(const char *what, long result, int right) {
  if (result == -1 && errno != right) {
    printf("%s: %s\n", what, strerror(errno));
    fflush(stdout);
    abort();
  }
  waited();
}

static struct timespec soon(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += little.tv_nsec;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  return t;
}

static void by_nanosleep(void) { check("nanosleep", nanosleep(&little, NULL), 0); }
static void by_poll(void) { check("poll", poll(NULL, 0, 20), 0); }
static void by_ppoll(void) { check("ppoll", ppoll(NULL, 0, &little, NULL), 0); }
static void by_select(void) {
  struct timeval t = {0, 20000};
  check("select", select(0, NULL, NULL, NULL, &t), 0);
}
static void by_epoll(void) {
  static __thread int set = -1;
  struct epoll_event event;
  if (set < 0) set = epoll_create1(0);
  check("epoll_wait", epoll_wait(set, &event, 1, 20), 0);
}
static void by_semaphore(void) {
  sem_t s;
  sem_init(&s, 0, 0);
  struct timespec t = soon();
  check("sem_timedwait", sem_timedwait(&s, &t), ETIMEDOUT);
}
static void by_semtimedop(void) {
  static __thread int id = -1;
  if (id < 0) id = semget(IPC_PRIVATE, 1, 0600);
  struct sembuf down = {0, -1, 0};
  check("semtimedop", semtimedop(id, &down, 1, &little), EAGAIN);
  if (over) semctl(id, 0, IPC_RMID);
}
static void by_futex(void) {
  int word = 0;
  check("futex", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &little, NULL, 0), ETIMEDOUT);
}
static void by_receiving(void) {
  static __thread int pair[2] = {-1, -1};
  char byte;
  struct timeval t = {0, 20000};
  if (pair[0] < 0) {
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  }
  check("recv", recv(pair[0], &byte, 1, 0), EAGAIN);
}
static void by_signal_wait(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  check("sigtimedwait", sigtimedwait(&set, NULL, &little), EAGAIN);
}
static void by_timer(void) {
  static __thread int timer = -1;
  struct itimerspec once = {{0, 0}, little};
  unsigned long long times;
  if (timer < 0) timer = timerfd_create(CLOCK_MONOTONIC, 0);
  timerfd_settime(timer, 0, &once, NULL);
  check("read", read(timer, &times, sizeof times), 0);
}
static void by_clock(void) {
  errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &little, NULL);
  check("clock_nanosleep", errno == 0 ? 0 : -1, 0);
}
static void by_condition(void) {
  pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t c = PTHREAD_COND_INITIALIZER;
  struct timespec t = soon();
  pthread_mutex_lock(&m);
  errno = pthread_cond_timedwait(&c, &m, &t);
  check("pthread_cond_timedwait", -1, ETIMEDOUT);
  pthread_mutex_unlock(&m);
}

static void *each(void *way) {
  while (!over) ((void (*)(void))way)();
  return NULL;
}

int main(void) {
  void (*ways[])(void) = {by_nanosleep, by_poll,      by_ppoll,       by_select, by_epoll, by_semaphore, by_semtimedop,
                          by_futex,     by_receiving, by_signal_wait, by_timer,  by_clock, by_condition};
  enum { WAYS = sizeof ways / sizeof *ways };
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_t threads[WAYS];
  for (int i = 0; i < WAYS; i++) pthread_create(&threads[i], NULL, each, (void *)ways[i]);
  sigdelset(&set, SIGUSR2);
  int number;
  sigwait(&set, &number);
  over = 1;
  for (int i = 0; i < WAYS; i++) pthread_join(threads[i], NULL);
  puts(waits > 100 ? "never interrupted" : "hardly waited");
  return 7;
}
