/*
 * Runs a few instructions on the processor, for the tests of displaced instructions.
 *
 * usage: run-instruction CASES RESULTS
 *
 * A child process has a code page, a data page and a stack page in a row, and three pages for slots.
 * For each case its memory, registers and vector registers are set, the case's code is put where
 * it belongs (all other code bytes are int3) and the child runs until a signal stops it, or for as
 * many single steps as the case says; then everything is written to RESULTS. Layouts: struct
 * test_case and struct test_result below.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define CODE 0x20000000ull
#define DATA (CODE + PAGE)
#define STACK (CODE + 2 * PAGE)
#define NEAR_SLOT 0x9fff0000ull
#define FAR_SLOT 0x500000000000ull
#define MIDDLE_SLOT 0x26170000ull

struct test_case {
  uint64_t code_at;
  uint32_t code_length;
  /* 0: run on. */
  uint32_t steps;
  /* More code, elsewhere. */
  uint64_t other_at;
  uint32_t other_length;
  /* Its memory stands behind the case. */
  uint32_t has_memory;
  uint8_t code[512];
  uint8_t other[64];
  struct user_regs_struct registers;
};

struct test_result {
  int32_t signal;
  int32_t code;
  uint64_t address;
  uint64_t vector_hash;
  struct user_regs_struct registers;
  /* Of the process that the instruction created, where it created one. */
  struct user_regs_struct new_process;
  /* The last words of the near and of the far page for slots. */
  uint64_t words[2];
  uint8_t memory[2 * PAGE];
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void *map_at(uint64_t at, size_t length, int protection) {
  void *mapped = mmap((void *)at, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (mapped != (void *)at) fail("mmap");
  return mapped;
}

static void put(pid_t child, uint64_t at, const void *bytes, size_t length) {
  struct iovec local = {(void *)bytes, length}, remote = {(void *)at, length};
  if (process_vm_writev(child, &local, 1, &remote, 1, 0) != (ssize_t)length) fail("process_vm_writev");
}

static void get(pid_t child, uint64_t at, void *bytes, size_t length) {
  struct iovec local = {bytes, length}, remote = {(void *)at, length};
  if (process_vm_readv(child, &local, 1, &remote, 1, 0) != (ssize_t)length) fail("process_vm_readv");
}

static uint64_t hash_more(uint64_t value, uint8_t byte) { return (value ^ byte) * 0x100000001b3ull; }

/*
 * Of the values of vector and floating-point registers, in the form of xsave. Only of what is a register: between
 * the parts there are gaps, which hold what was left there. Intel SDM vol. 1, 13.4.
 */
static uint64_t hash_vectors(const uint8_t *bytes) {
  uint64_t value = 0xcbf29ce484222325ull, present;
  memcpy(&present, bytes + 512, sizeof present);
  for (size_t index = 0; index < 416; index++) {
    /* Where the last x87 instruction and its operand were: those of a copy are its own. What MXCSR can hold. */
    if ((index >= 6 && index < 24) || (index >= 28 && index < 32)) continue;
    value = hash_more(value, bytes[index]);
  }
  for (unsigned part = 2; part < 10; part++) {
    unsigned length, offset, flags, reserved;
    __cpuid_count(0xd, part, length, offset, flags, reserved);
    /* Those of the kernel have no place here. */
    if ((flags & 1) != 0) continue;
    /* A part that the processor keeps as "initial" is all zeros, and may be there or not. */
    for (size_t index = 0; index < length; index++)
      value = hash_more(value, (present >> part & 1) != 0 ? bytes[offset + index] : 0);
  }
  return value;
}

static volatile sig_atomic_t late;
static pid_t child;

static void on_alarm(int signal) {
  (void)signal;
  late = 1;
  kill(child, SIGSTOP);
}

static int is_step(pid_t process) {
  siginfo_t info;
  if (ptrace(PTRACE_GETSIGINFO, process, 0, &info) != 0) fail("PTRACE_GETSIGINFO");
  return info.si_code == TRAP_TRACE;
}

/* Lets a process that the child has just created run until a signal stops it, then ends it. */
static void run_new_process(struct user_regs_struct *registers) {
  unsigned long created;
  int status;
  if (ptrace(PTRACE_GETEVENTMSG, child, 0, &created) != 0) fail("PTRACE_GETEVENTMSG");
  if (waitpid((pid_t)created, &status, __WALL) != (pid_t)created) fail("waitpid");
  if (ptrace(PTRACE_CONT, (pid_t)created, 0, 0) != 0) fail("PTRACE_CONT");
  if (waitpid((pid_t)created, &status, __WALL) != (pid_t)created || !WIFSTOPPED(status)) fail("waitpid");
  if (ptrace(PTRACE_GETREGS, (pid_t)created, 0, registers) != 0) fail("PTRACE_GETREGS");
  kill((pid_t)created, SIGKILL);
  if (waitpid((pid_t)created, &status, __WALL) != (pid_t)created) fail("waitpid");
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: run-instruction CASES RESULTS\n");
    return 2;
  }
  FILE *cases = fopen(argv[1], "rb"), *results = fopen(argv[2], "wb");
  if (cases == NULL || results == NULL) fail("fopen");

  child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    map_at(CODE, 3 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_at(NEAR_SLOT, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_at(FAR_SLOT, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_at(MIDDLE_SLOT, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) fail("PTRACE_TRACEME");
    raise(SIGSTOP);
    _exit(0);
  }
  int status;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) fail("waitpid");
  if (ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK) != 0) fail("PTRACE_SETOPTIONS");

  static uint8_t vectors[16384], vectors_after[16384];
  struct iovec state = {vectors, sizeof vectors};
  if (ptrace(PTRACE_GETREGSET, child, (void *)NT_X86_XSTATE, &state) != 0) fail("PTRACE_GETREGSET");
  size_t state_length = state.iov_len;
  struct user_regs_struct own;
  if (ptrace(PTRACE_GETREGS, child, 0, &own) != 0) fail("PTRACE_GETREGS");
  /* Something else than zeros in the xmm registers, which start at 160; say so in the header at 512. */
  for (int index = 0; index < 256; index++) vectors[160 + index] = (uint8_t)(index * 37 + 11);
  vectors[512] |= 3;

  static uint8_t traps[PAGE], pattern[2 * PAGE];
  memset(traps, 0xcc, sizeof traps);

  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);

  struct test_case one;
  while (fread(&one, sizeof one, 1, cases) == 1) {
    static struct test_result result;
    memset(&result, 0, sizeof result);
    for (size_t index = 0; index < sizeof pattern; index++) pattern[index] = (uint8_t)(index * 7 + (index >> 8));
    /* A word that points at code, at 0x100 of the data page and on top of the stack. */
    uint64_t pointer = CODE + 0x200;
    memcpy(pattern + 0x100, &pointer, 8);
    memcpy(pattern + PAGE + 0x800, &pointer, 8);
    put(child, CODE, traps, PAGE);
    put(child, NEAR_SLOT, traps, PAGE);
    put(child, FAR_SLOT, traps, PAGE);
    put(child, MIDDLE_SLOT, traps, PAGE);
    if (one.has_memory && fread(pattern, sizeof pattern, 1, cases) != 1) fail("fread");
    put(child, DATA, pattern, sizeof pattern);
    put(child, one.code_at, one.code, one.code_length);
    put(child, one.other_at, one.other, one.other_length);

    struct iovec fresh = {vectors, state_length};
    if (ptrace(PTRACE_SETREGSET, child, (void *)NT_X86_XSTATE, &fresh) != 0) fail("PTRACE_SETREGSET");
    struct user_regs_struct registers = one.registers;
    registers.orig_rax = (uint64_t)-1;
    registers.cs = own.cs;
    registers.ss = own.ss;
    registers.ds = own.ds;
    registers.es = own.es;
    registers.fs = own.fs;
    registers.gs = own.gs;
    if (ptrace(PTRACE_SETREGS, child, 0, &registers) != 0) fail("PTRACE_SETREGS");

    late = 0;
    uint32_t steps_left = one.steps;
    alarm(2);
    for (;;) {
      if (ptrace(one.steps > 0 ? PTRACE_SINGLESTEP : PTRACE_CONT, child, 0, 0) != 0) fail("PTRACE_CONT");
      while (waitpid(child, &status, 0) != child)
        if (errno != EINTR) fail("waitpid");
      if (!WIFSTOPPED(status)) break;
      if (status >> 16 != 0) run_new_process(&result.new_process);
      else if (WSTOPSIG(status) == SIGTRAP && steps_left > 1 && is_step(child)) steps_left--;
      else if (WSTOPSIG(status) != SIGCHLD) break;
    }
    alarm(0);
    if (!WIFSTOPPED(status)) {
      fprintf(stderr, "the child is gone: status %x\n", status);
      return 1;
    }
    siginfo_t info;
    if (ptrace(PTRACE_GETSIGINFO, child, 0, &info) != 0) fail("PTRACE_GETSIGINFO");
    result.signal = late ? SIGALRM : info.si_signo;
    result.code = info.si_code;
    result.address = info.si_code > 0 ? (uint64_t)info.si_addr : 0;
    if (ptrace(PTRACE_GETREGS, child, 0, &result.registers) != 0) fail("PTRACE_GETREGS");
    struct iovec after = {vectors_after, sizeof vectors_after};
    if (ptrace(PTRACE_GETREGSET, child, (void *)NT_X86_XSTATE, &after) != 0) fail("PTRACE_GETREGSET");
    result.vector_hash = hash_vectors(vectors_after);
    get(child, DATA, result.memory, sizeof result.memory);
    get(child, NEAR_SLOT + PAGE - 8, &result.words[0], 8);
    get(child, FAR_SLOT + PAGE - 8, &result.words[1], 8);
    if (fwrite(&result, sizeof result, 1, results) != 1) fail("fwrite");
  }
  kill(child, SIGKILL);
  if (fclose(results) != 0) fail("fclose");
  return 0;
}
