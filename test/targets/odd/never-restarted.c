// Calls that fail with EINTR whatever SA_RESTART says. signal(7), "Interruption of system calls".
#include "check.h"
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>

static volatile sig_atomic_t handled;
static void count(int signal) { handled += signal == SIGALRM; }

/** One alarm, after the call has surely begun; again and again, in case it had not. */
static void soon(void) {
  struct itimerval timer = {{0, 30000}, {0, 10000}};
  MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void no_more(void) {
  struct itimerval timer = {{0, 0}, {0, 0}};
  MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

#define INTERRUPTED(call)                     \
  do {                                        \
    soon();                                   \
    MUST((call) == -1 && errno == EINTR);     \
    no_more();                                \
  } while (0)

int main(void) {
  handle(SIGALRM, count, SA_RESTART);
  int ends[2];
  MUST(pipe(ends) == 0);
  struct pollfd poller = {ends[0], POLLIN, 0};
  INTERRUPTED(poll(&poller, 1, 60000));
  fd_set reads;
  FD_ZERO(&reads);
  FD_SET(ends[0], &reads);
  INTERRUPTED(select(ends[0] + 1, &reads, NULL, NULL, NULL));
  int file = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  MUST(epoll_ctl(file, EPOLL_CTL_ADD, ends[0], &event) == 0);
  INTERRUPTED(epoll_wait(file, &event, 1, -1));
  INTERRUPTED(pause());
  struct timespec minute = {60, 0}, left = {0, 0};
  INTERRUPTED(nanosleep(&minute, &left));
  MUST(left.tv_sec == 59 && left.tv_nsec > 0);
  int semaphore = semget(IPC_PRIVATE, 1, 0600);
  MUST(semaphore >= 0);
  struct sembuf down = {0, -1, 0};
  INTERRUPTED(semop(semaphore, &down, 1));
  MUST(semctl(semaphore, 0, IPC_RMID) == 0);
  sigset_t other = set_of(SIGUSR1);
  INTERRUPTED(sigwaitinfo(&other, NULL));
  MUST(handled >= 7);
  return passed();
}
