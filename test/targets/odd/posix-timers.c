// Timers with values, for one thread, by a thread, and what they count as overrun. timer_create(2).
#include "check.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
static volatile int ticks, value;
static volatile pid_t who;
static void tick(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)context;
  MUST(info->si_code == SI_TIMER);
  value = info->si_value.sival_int;
  who = gettid();
  ticks++;
}
static void in_thread(union sigval with) { __atomic_add_fetch((int *)with.sival_ptr, 1, __ATOMIC_SEQ_CST); }

int main(void) {
  handle_info(SIGRTMIN, tick, 0);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
  event.sigev_notify_thread_id = gettid();
  MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec every = {{0, 1000000}, {0, 1000000}}, now;
  MUST(timer_settime(timer, 0, &every, NULL) == 0);
  while (ticks < 50) getppid();
  MUST(value == 42 && who == gettid());
  block(SIGRTMIN);
  sleep_ms(30);
  sigset_t set = set_of(SIGRTMIN);
  siginfo_t info;
  MUST(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_overrun >= 20);
  MUST(timer_gettime(timer, &now) == 0 && now.it_interval.tv_nsec == 1000000 && timer_delete(timer) == 0);
  int count = 0;
  struct sigevent threads = {.sigev_notify = SIGEV_THREAD, .sigev_value.sival_ptr = &count, .sigev_notify_function = in_thread};
  MUST(timer_create(CLOCK_MONOTONIC, &threads, &timer) == 0 && timer_settime(timer, 0, &every, NULL) == 0);
  while (__atomic_load_n(&count, __ATOMIC_SEQ_CST) < 20) sched_yield();
  MUST(timer_delete(timer) == 0);
  return passed();
}
