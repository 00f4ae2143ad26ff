// Reads who traces it. proc_pid_status(5).
#include "../check.h"

int main(void) {
  char text[4096];
  int file = open("/proc/self/status", O_RDONLY);
  ssize_t length = read(file, text, sizeof text - 1);
  MUST(length > 0);
  text[length] = 0;
  MUST(strstr(text, "\nTracerPid:\t0\n") != NULL);
  return passed();
}
