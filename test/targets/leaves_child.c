// Ends at once and leaves a child behind that does not, and that has its output.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  if (fork() == 0)
    for (;;) pause();
  for (int i = 0; i < 200; i++) getppid();
  puts("left a child");
  return 0;
}
