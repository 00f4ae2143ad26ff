// Makes one system call that a signal interrupts, and prints what came of it: whether the kernel made the call
// again by itself, or the program found EINTR.
//
//   interrupted read|pause|nanosleep restart|plain|stop [seccomp]
//
// restart, plain: by a handler with or without SA_RESTART; stop: by job control, then a handler without.
// seccomp: under a filter, which lets everything pass.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int signals;
static void note(int signal) { signals++; }

// Waits until a process is in a state, as /proc says it.
static void await_state(pid_t process, const char *states) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/stat", process);
  for (int steady = 0; steady < 3;) {
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file)) exit(1);
    fclose(file);
    char state = strrchr(line, ')')[2];
    steady = strchr(states, state) ? steady + 1 : 0;
    usleep(2000);
  }
}

static void interrupt(pid_t parent, const char *call, int stop, int pipe) {
  await_state(parent, "S");
  if (stop) {
    kill(parent, SIGSTOP);
    await_state(parent, "Tt");
    kill(parent, SIGCONT);
    await_state(parent, "S");
  }
  if (!stop || !strcmp(call, "pause")) {
    kill(parent, SIGUSR1);
    if (!strcmp(call, "read")) await_state(parent, "S");
  }
  if (!strcmp(call, "read")) write(pipe, "x", 1);
  _exit(0);
}

static int under_filter(void) {
  struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog filter = {1, &pass};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

int main(int count, char **words) {
  const char *call = words[1], *how = words[2];
  int stop = !strcmp(how, "stop"), ends[2];
  struct sigaction action = {.sa_handler = note, .sa_flags = strcmp(how, "restart") ? 0 : SA_RESTART};
  sigaction(SIGUSR1, &action, 0);
  if (pipe(ends) || (count > 3 && under_filter())) return 1;
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) interrupt(parent, call, stop, ends[1]);
  char buffer[77];
  struct timespec time = {1, 500000000};
  long result = !strcmp(call, "read")    ? syscall(SYS_read, ends[0], buffer, sizeof buffer)
                : !strcmp(call, "pause") ? syscall(SYS_pause)
                                         : syscall(SYS_nanosleep, &time, 0);
  int error = errno;
  printf("%s: %s after %d signals\n", call, result < 0 ? strerror(error) : "done", signals);
  fflush(stdout);
  if (!strcmp(call, "read") && result < 0) syscall(SYS_read, ends[0], buffer, 1);
  waitpid(child, 0, 0);
  return 0;
}
