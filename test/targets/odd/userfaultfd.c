// Pages that another thread brings when they are touched. userfaultfd(2).
#include "check.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#define PAGE 4096ul
static int file;

static void *pager(void *unused) {
  static char page[PAGE] __attribute__((aligned(PAGE)));
  for (int i = 0; i < 20; i++) {
    struct uffd_msg message;
    MUST(read(file, &message, sizeof message) == sizeof message && message.event == UFFD_EVENT_PAGEFAULT);
    snprintf(page, PAGE, "page %d", i);
    struct uffdio_copy copy = {.dst = message.arg.pagefault.address & ~(PAGE - 1), .src = (uintptr_t)page, .len = PAGE};
    MUST(ioctl(file, UFFDIO_COPY, &copy) == 0);
  }
  return unused;
}

int main(void) {
  file = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  if (file < 0) return skipped("no userfaultfd");
  struct uffdio_api api = {.api = UFFD_API};
  MUST(ioctl(file, UFFDIO_API, &api) == 0);
  char *at = mmap(NULL, 20 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register range = {.range = {(uintptr_t)at, 20 * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  MUST(ioctl(file, UFFDIO_REGISTER, &range) == 0);
  pthread_t thread;
  MUST(pthread_create(&thread, NULL, pager, NULL) == 0);
  for (int i = 0; i < 20; i++) {
    char text[16];
    snprintf(text, sizeof text, "page %d", i);
    // strcmp itself is what faults.
    MUST(strcmp(at + i * PAGE, text) == 0);
  }
  MUST(pthread_join(thread, NULL) == 0);
  return passed();
}
