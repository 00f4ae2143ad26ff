// Requests through a ring: nothing, a write and a timeout. io_uring_setup(2), io_uring_enter(2).
#include "check.h"
#include <linux/io_uring.h>

int main(void) {
  struct io_uring_params how;
  memset(&how, 0, sizeof how);
  int ring = (int)syscall(SYS_io_uring_setup, 4, &how);
  if (ring < 0) return skipped("no io_uring");
  size_t length = how.cq_off.cqes + how.cq_entries * sizeof(struct io_uring_cqe);
  size_t submitted = how.sq_off.array + how.sq_entries * sizeof(unsigned);
  if (submitted > length) length = submitted;
  MUST(how.features & IORING_FEAT_SINGLE_MMAP);
  char *rings = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe *entries = mmap(NULL, how.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED,
                                      ring, IORING_OFF_SQES);
  MUST(rings != MAP_FAILED && entries != MAP_FAILED);
  unsigned *tail = (unsigned *)(rings + how.sq_off.tail), *array = (unsigned *)(rings + how.sq_off.array);
  unsigned *head = (unsigned *)(rings + how.cq_off.head);
  struct io_uring_cqe *done = (struct io_uring_cqe *)(rings + how.cq_off.cqes);
  unsigned mask = *(unsigned *)(rings + how.sq_off.ring_mask), ends = *(unsigned *)(rings + how.cq_off.ring_mask);
  int pipes[2];
  MUST(pipe(pipes) == 0);
  struct { long long seconds, nanoseconds; } soon = {0, 2000000};
  for (unsigned i = 0; i < 60; i++) {
    struct io_uring_sqe *entry = &entries[*tail & mask];
    memset(entry, 0, sizeof *entry);
    entry->opcode = i % 3 == 0 ? IORING_OP_NOP : i % 3 == 1 ? IORING_OP_WRITE : IORING_OP_TIMEOUT;
    entry->user_data = 1000 + i;
    if (i % 3 == 1) {
      entry->fd = pipes[1];
      entry->addr = (uintptr_t)"x";
      entry->len = 1;
    } else if (i % 3 == 2) {
      entry->addr = (uintptr_t)&soon;
      entry->len = 1;
    }
    array[*tail & mask] = *tail & mask;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    MUST(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
    struct io_uring_cqe *end = &done[*head & ends];
    MUST(end->user_data == 1000 + i && end->res == (i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : -ETIME));
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
  }
  return passed();
}
