// A program that becomes another user when it is executed, and one that lets its rights go. execve(2), setresuid(2).
#include "check.h"

int main(int argc, char **argv) {
  if (argc > 1) {
    // Executed by somebody who may not become the owner again but by the bit.
    printf("%d", (int)geteuid());
    return 0;
  }
  if (geteuid() != 0) return skipped("not the superuser");
  char name[] = "set-user-id-XXXXXX", copy[64 * 1024];
  int to = mkstemp(name), from = open("/proc/self/exe", O_RDONLY);
  MUST(to >= 0 && from >= 0);
  for (ssize_t length; (length = read(from, copy, sizeof copy)) > 0;) MUST(write(to, copy, (size_t)length) == length);
  MUST(fchown(to, 1, 1) == 0 && fchmod(to, 06755) == 0);
  close(to);
  int output[2];
  MUST(pipe(output) == 0);
  pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    MUST(dup2(output[1], 1) == 1);
    MUST(setresuid(65534, 65534, 65534) == 0 && setuid(0) == -1);
    execl(name, argv[0], "executed", NULL);
    _exit(99);
  }
  close(output[1]);
  char text[16] = "";
  int got = (int)read(output[0], text, sizeof text - 1);
  int ended = ending(child);
  unlink(name);
  // A tracer that is no superuser may keep it from becoming anybody, and so may a file system.
  MUST(ended == 0 && got > 0 && (strcmp(text, "1") == 0 || strcmp(text, "65534") == 0));
  return passed();
}
