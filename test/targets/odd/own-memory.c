// Reads and writes its own memory as another process would. process_vm_readv(2), proc_pid_mem(5).
#include "check.h"
#include <sys/uio.h>

int main(void) {
  char here[64] = "as it is", there[64];
  struct iovec local = {there, sizeof there}, remote = {here, sizeof here}, bad = {(void *)8, 8};
  MUST(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == sizeof here && strcmp(there, here) == 0);
  MUST(process_vm_readv(getpid(), &local, 1, &bad, 1, 0) == -1 && errno == EFAULT);
  int file = open("/proc/self/mem", O_RDWR);
  MUST(file >= 0);
  for (int i = 0; i < 50; i++) {
    MUST(pwrite(file, &i, sizeof i, (off_t)(uintptr_t)here) == sizeof i && memcmp(here, &i, sizeof i) == 0);
    MUST(pread(file, there, sizeof there, (off_t)(uintptr_t)here) == sizeof there && memcmp(there, here, 64) == 0);
  }
  MUST(pread(file, there, 1, 8) == -1 && errno == EIO);
  MUST(write(-1, here, 1) == -1 && errno == EBADF);
  return passed();
}
