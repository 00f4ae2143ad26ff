// Looks for a tracer, and says whether it found one: a program that notices.
#include <stdio.h>
#include <string.h>

int main(void) {
  char line[256];
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (strncmp(line, "TracerPid:", 10) == 0) puts(strstr(line, "\t0\n") ? "alone" : "traced");
  return 0;
}
