// Ends at once and leaves a child behind that does not, and that has its output.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  if (fork() == 0)
    for (;;) pause();
  for (int i = 0; i < 200; i++) free(malloc((size_t)i));
  puts("left a child");
  return 0;
}
