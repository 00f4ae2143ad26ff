// Instructions and places that cannot take a probe, one function each. None of them is ever called.
//   refuses WORD    does to its own text what the word says, then stops itself
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUNCTION(name, text) \
  __asm__(".globl " #name "\n.type " #name ", @function\n" #name ":\n" text "\nret\n.size " #name ", . - " #name "\n");

FUNCTION(no_instruction, ".byte 0x06")
FUNCTION(far_call, "lcall *(%rax)")
FUNCTION(narrow_branch, ".byte 0x66, 0xe8, 0, 0, 0, 0")
FUNCTION(into_enclave, ".byte 0x0f, 0x01, 0xd7")
FUNCTION(far_return, "lretq")
FUNCTION(long_one, "movl $1, %eax")

// A page of its own; the instruction at its end goes on in the next, which is unmapped.
__asm__(".balign 4096\n.globl page_begins\n.type page_begins, @function\npage_begins:\n  nop\n.org page_begins + 4093, 0x90\n"
        ".size page_begins, . - page_begins\n.globl cut_off\n.type cut_off, @function\ncut_off:\n"
        "  .byte 0x48, 0x8b, 0x05, 0, 0, 0, 0\n.size cut_off, . - cut_off\n"
        ".globl taken_away\n.type taken_away, @function\ntaken_away:\n  nop\n  ret\n.size taken_away, . - taken_away\n"
        ".balign 4096\n");
extern char page_begins[], long_one[];

static int change(const char *how) {
  char *next = page_begins + 4096, *page = (char *)((unsigned long)long_one & -4096ul);
  if (strcmp(how, "unmap") == 0) return munmap(next, 4096);
  if (strcmp(how, "share") == 0) {
    // What the program has in this page, in its very file, but for everybody.
    int file = open("/proc/self/exe", O_RDONLY);
    extern char __ehdr_start[];
    return mmap(page_begins, 4096, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, page_begins - __ehdr_start) == MAP_FAILED;
  }
  if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return 1;
  long_one[0] = (char)0xcc;
  return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

int main(int count, char **words) {
  if (count > 1 && change(words[1]) != 0) return 3;
  raise(SIGSTOP);
  return 7;
}
