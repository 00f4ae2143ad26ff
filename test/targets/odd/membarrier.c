// Barriers in all threads of a process. membarrier(2).
#include "check.h"
#include <linux/membarrier.h>

static volatile int ends;
static void *spins(void *unused) {
  while (!ends) getppid();
  return unused;
}

int main(void) {
  long offered = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  if (offered < 0) return skipped("no membarrier");
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) MUST(pthread_create(&threads[i], NULL, spins, NULL) == 0);
  if (offered & MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
    MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
    for (int i = 0; i < 50; i++) MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
  }
  if (offered & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) {
    MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0);
    for (int i = 0; i < 50; i++)
      MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0);
  }
  ends = 1;
  for (int i = 0; i < 2; i++) MUST(pthread_join(threads[i], NULL) == 0);
  return passed();
}
