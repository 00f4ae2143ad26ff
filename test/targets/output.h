// A last argument `>FILE` sends what the program prints to that file, as a shell would: for tests
// that start the program without one.
#include <stdio.h>

__attribute__((constructor)) static void send_output(int count, char **words) {
  if (count > 1 && words[count - 1][0] == '>') freopen(words[count - 1] + 1, "w", stdout);
}
