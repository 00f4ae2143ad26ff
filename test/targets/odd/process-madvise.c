// Advice for the memory of another process, named by a descriptor. process_madvise(2), process_vm_writev(2).
#include "check.h"
#include <sys/uio.h>

static volatile char word[8] = "before";

int main(void) {
  char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  MUST(page != MAP_FAILED);
  page[0] = 'a';
  int pipes[2];
  MUST(pipe(pipes) == 0);
  pid_t child = fork();
  MUST(child >= 0);
  char byte;
  if (child == 0) {
    close(pipes[1]);
    MUST(read(pipes[0], &byte, 1) == 1);
    _exit(word[0] == 'a' && page[0] == 'a' ? 0 : 1);
  }
  int descriptor = (int)syscall(SYS_pidfd_open, child, 0);
  MUST(descriptor >= 0);
  struct iovec there = {page, 8192}, text = {(void *)word, sizeof word};
  char after[8] = "after", read_back[8];
  struct iovec own = {after, sizeof after}, back = {read_back, sizeof read_back};
  long advised = syscall(SYS_process_madvise, descriptor, &there, 1L, MADV_COLD, 0);
  MUST(advised == 8192 || (advised < 0 && (errno == EPERM || errno == ENOSYS || errno == EINVAL)));
  if (process_vm_writev(child, &own, 1, &text, 1, 0) != sizeof word) return skipped("no right to write there");
  MUST(process_vm_readv(child, &back, 1, &text, 1, 0) == sizeof word && strcmp(read_back, "after") == 0);
  MUST(write(pipes[1], "g", 1) == 1);
  MUST(ending(child) == 0);
  return passed();
}
