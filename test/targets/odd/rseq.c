// The processor number that the kernel writes into a thread's own memory. rseq(2).
#include "check.h"
#include <linux/rseq.h>

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));

static void *pinned(void *processor) {
  volatile struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((int)(intptr_t)processor, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) return processor;
  for (int i = 0; i < 200; i++) {
    MUST(area->cpu_id == (unsigned)(intptr_t)processor && area->cpu_id == area->cpu_id_start);
    if (i % 20 == 0) sched_yield();
  }
  return processor;
}

int main(void) {
  if (&__rseq_size == NULL || __rseq_size == 0) return skipped("no rseq");
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  for (intptr_t i = 0; i < 8; i++) {
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, pinned, (void *)(i % count)) == 0 && pthread_join(thread, NULL) == 0);
  }
  return passed();
}
