// What a guest does to itself with exceptions of its own, and what it sees of them: run in a guest, linked statically.
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// The calls of a rarely used function of the kernel: tests put instructions there.
static void call(int times) {
    unsigned long any = 0, all = ~0ul, sum = 0;
    for (int i = 0; i < times; i++) {
        unsigned long result;
        __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_sysfs), "D"(3), "S"(i) : "rcx", "r11", "memory");
        any |= result;
        all &= result;
        sum += result;
    }
    printf("calls %d any %lx all %lx sum %lx\n", times, any, all, sum);
}

// A program that is single-stepped by another, which adds up where it has been.
static void single_step(int times) {
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        volatile long work = 0;
        for (int i = 0;; i++) {
            work += i;
            syscall(SYS_getppid);
        }
    }
    int status;
    waitpid(child, &status, 0);
    struct user_regs_struct registers;
    ptrace(PTRACE_GETREGS, child, NULL, &registers);
    unsigned long first = 0, odd = 0, others = 0;
    for (int i = 0; i < times; i++) {
        ptrace(PTRACE_SINGLESTEP, child, NULL, NULL);
        waitpid(child, &status, 0);
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) others++;
        ptrace(PTRACE_GETREGS, child, NULL, &registers);
        first = first * 31 + registers.rip;
        // Neither the trap flag nor interrupts held back are the program's to see.
        if (registers.eflags & 0x100 || !(registers.eflags & 0x200)) odd++;
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    printf("steps %d way %lx odd %lu others %lu\n", times, first, odd, others);
}

// A breakpoint of the processor's own on the kernel, kept by the kernel itself for us, which counts.
static void breakpoint(const char *kind, const char *address, int times) {
    struct perf_event_attr event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.type = PERF_TYPE_BREAKPOINT;
    event.bp_type = kind[0] == 'x' ? HW_BREAKPOINT_X : HW_BREAKPOINT_W;
    event.bp_addr = strtoul(address, NULL, 16);
    event.bp_len = kind[0] == 'x' ? sizeof(long) : HW_BREAKPOINT_LEN_4;
    int counter = syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
    if (counter < 0) {
        perror("perf_event_open");
        exit(2);
    }
    call(times);
    unsigned long count = 0;
    if (read(counter, &count, sizeof count) != sizeof count) exit(2);
    printf("counted %lu\n", count);
}

// The same calls, each with a number of its own.
static void pass(int count, char **numbers) {
    for (int i = 0; i < count; i++) printf("%s %ld\n", numbers[i], syscall(SYS_sysfs, 3, strtoul(numbers[i], NULL, 16)));
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "call") == 0) call(atoi(argv[2]));
    else if (argc > 2 && strcmp(argv[1], "single-step") == 0) single_step(atoi(argv[2]));
    else if (argc > 4 && strcmp(argv[1], "breakpoint") == 0) breakpoint(argv[2], argv[3], atoi(argv[4]));
    else if (argc > 2 && strcmp(argv[1], "pass") == 0) pass(argc - 2, argv + 2);
    else return 2;
    return 0;
}
