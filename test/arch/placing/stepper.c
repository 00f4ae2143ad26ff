// stepper LOG MAPS MOST PROGRAM…: steps through a program, writes each program counter to LOG (8 bytes) and, now and
// then, what is mapped to MAPS. After MOST steps the program is killed. Only its first thread is followed.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void copy_maps(pid_t pid, FILE *to) {
  char path[64], line[4096];
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE *from = fopen(path, "r");
  if (!from) return;
  while (fgets(line, sizeof line, from)) fputs(line, to);
  fclose(from);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  FILE *log = fopen(argv[1], "w"), *maps = fopen(argv[2], "w");
  long most = atol(argv[3]);
  pid_t pid = fork();
  if (pid == 0) {
    personality(ADDR_NO_RANDOMIZE);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execvp(argv[4], argv + 4);
    _exit(127);
  }
  int status, signal = 0;
  waitpid(pid, &status, 0);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEEXIT);
  for (long steps = 0; steps < most; steps++) {
    if (steps % 20000 == 0) copy_maps(pid, maps);
    ptrace(PTRACE_SINGLESTEP, pid, 0, signal);
    waitpid(pid, &status, 0);
    if (!WIFSTOPPED(status)) break;
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
      copy_maps(pid, maps);
      break;
    }
    signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    struct user_regs_struct registers;
    ptrace(PTRACE_GETREGS, pid, 0, &registers);
    fwrite(&registers.rip, 8, 1, log);
  }
  kill(pid, SIGKILL);
  fclose(log);
  fclose(maps);
  return 0;
}
