// A program at its address-space limit, which it cannot raise: there is no room for a slot in it.
// `limited remap LIBRARY`: one that maps something else where the library was, with an int3 of its own.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

long needs_slot(void);
__asm__(".globl needs_slot\n.type needs_slot, @function\nneeds_slot:\n"
        "  pxor %xmm0, %xmm0\n  mov $1, %eax\n  ret\n.size needs_slot, . - needs_slot\n");
long needs_none(void);
__asm__(".globl needs_none\n.type needs_none, @function\nneeds_none:\n"
        "  call 1f\n  ret\n1: mov $1, %eax\n  ret\n.size needs_none, . - needs_none\n");
__attribute__((noinline)) void over(void) { __asm__ volatile("" ::: "memory"); }

static volatile sig_atomic_t asked;

static void go_on(int signal) {
  (void)signal;
  asked = 1;
}

static long mapped(void) {
  char line[256];
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fgets(line, sizeof line, file) == NULL) _exit(3);
  fclose(file);
  pages = atol(line);
  return pages * 4096;
}

static int remap(const char *library) {
  void *handle = dlopen(library, RTLD_NOW);
  if (handle == NULL) return 3;
  long (*work)(long) = (long (*)(long))dlsym(handle, "plugin_work");
  raise(SIGSTOP);
  work(1);
  // Behind the dynamic linker's back.
  unsigned char *page = (unsigned char *)((unsigned long)work & -4096ul);
  unsigned char copy[4096];
  memcpy(copy, page, sizeof copy);
  copy[(unsigned long)work & 4095] = 0xcc;
  const long offset = 16 * 4096;
  int file = memfd_create("other", 0);
  if (pwrite(file, copy, sizeof copy, offset) != sizeof copy) return 4;
  if (mmap(page, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, offset) != page) return 4;
  while (!asked) {
    over();
    usleep(1000);
  }
  return *(unsigned char *)(unsigned long)work == 0xcc ? 7 : 8;
}

int main(int count, char **words) {
  signal(SIGUSR1, go_on);
  if (count > 2) return remap(words[2]);
  struct rlimit limit = {0, 0};
  limit.rlim_cur = limit.rlim_max = (rlim_t)mapped();
  if (setrlimit(RLIMIT_AS, &limit) != 0) return 3;
  raise(SIGSTOP);
  long sum = 0;
  for (int i = 0; i < 10; i++) sum += needs_slot() + needs_none();
  return sum == 20 ? 7 : 8;
}
