// Calls of the kernel that end in other ways than most: run in a guest, linked statically.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int alarms;

static void on_alarm(int signal) {
    (void)signal;
    alarms++;
}

// write(2) of a buffer that is not there.
static void bad_buffer(int times) {
    int out = open("/tmp/out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < times; i++) {
        long result = syscall(SYS_write, out, (void *)8, 100);
        if (result != -1 || errno != EFAULT) exit(2);
    }
    printf("EFAULT %d\n", times);
}

// read(2) of a pipe, interrupted by signals whose handler has SA_RESTART, until there is something.
static void restarted(int times) {
    int ends[2];
    char byte;
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval every = {{0, 50000}, {0, 50000}};
    if (pipe(ends) != 0) exit(2);
    pid_t child = fork();
    if (child == 0) {
        usleep(50000 * times + 25000);
        exit(write(ends[1], "x", 1) == 1 ? 0 : 2);
    }
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    long result = read(ends[0], &byte, 1);
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    waitpid(child, NULL, 0);
    printf("read %ld after %s\n", result, alarms > 0 ? "signals" : "nothing");
}

static void sleeps(int times) {
    struct timespec time = {0, 40 * 1000 * 1000};
    for (int i = 0; i < times; i++) nanosleep(&time, NULL);
    printf("slept %d\n", times);
}

int main(int argc, char **argv) {
    int times = argc > 2 ? atoi(argv[2]) : 1;
    if (argc < 2) return 2;
    if (strcmp(argv[1], "bad-buffer") == 0) bad_buffer(times);
    else if (strcmp(argv[1], "restarted") == 0) restarted(times);
    else if (strcmp(argv[1], "sleeps") == 0) sleeps(times);
    else if (strcmp(argv[1], "sysfs") == 0) printf("%ld\n", syscall(SYS_sysfs, 3));
    else return 2;
    return 0;
}
