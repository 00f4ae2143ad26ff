// A real-time signal with the descriptor that has become ready; a pipe without readers. fcntl(2), F_SETSIG.
#include "check.h"
#include <sys/socket.h>

static volatile int band, file, broken;
static void ready(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)context;
  band = (int)info->si_band;
  file = info->si_fd;
}
static void note(int signal) { broken += signal == SIGPIPE; }

int main(void) {
  int pair[2], ends[2];
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
  handle_info(SIGRTMIN + 1, ready, 0);
  handle(SIGPIPE, note, 0);
  MUST(fcntl(pair[0], F_SETOWN, getpid()) == 0 && fcntl(pair[0], F_SETSIG, SIGRTMIN + 1) == 0);
  MUST(fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
  for (int i = 0; i < 50; i++) {
    char byte = (char)i;
    file = -1;
    MUST(write(pair[1], &byte, 1) == 1);
    while (file == -1) sched_yield();
    MUST(file == pair[0] && (band & POLLIN) && read(pair[0], &byte, 1) == 1 && byte == (char)i);
  }
  MUST(close(ends[0]) == 0 && write(ends[1], "x", 1) == -1 && errno == EPIPE && broken == 1);
  return passed();
}
