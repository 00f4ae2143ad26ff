// A new descriptor is the lowest that is free, whatever makes it. open(2).
#include "check.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

int main(void) {
  // Whatever who started us left open.
  MUST(close_range(3, ~0u, 0) == 0);
  int ends[2], pair[2];
  MUST(open("/dev/null", O_RDONLY) == 3 && pipe(ends) == 0 && ends[0] == 4 && ends[1] == 5);
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pair[0] == 6 && pair[1] == 7);
  MUST(epoll_create1(0) == 8 && eventfd(0, 0) == 9 && memfd_create("m", 0) == 10);
  MUST(close(5) == 0 && dup(0) == 5 && close(3) == 0 && fcntl(0, F_DUPFD, 0) == 3);
  FILE *file = fopen("/dev/null", "r");
  MUST(file != NULL && fileno(file) == 11 && fclose(file) == 0);
  char name[] = "/tmp/odd-XXXXXX";
  MUST(mkstemp(name) == 11 && unlink(name) == 0);
  return passed();
}
