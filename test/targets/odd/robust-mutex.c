// The owner of a robust mutex dies, as a thread and as a killed process. pthread_mutex_consistent(3).
#include "check.h"

static pthread_mutex_t *mutex;
static void *dies(void *unused) {
  pthread_mutex_lock(mutex);
  return unused;
}

int main(void) {
  mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  MUST(pthread_mutex_init(mutex, &attributes) == 0);
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, dies, NULL) == 0 && pthread_join(thread, NULL) == 0);
    MUST(pthread_mutex_lock(mutex) == EOWNERDEAD && pthread_mutex_consistent(mutex) == 0);
    MUST(pthread_mutex_unlock(mutex) == 0);
    int ends[2];
    char byte;
    MUST(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
      pthread_mutex_lock(mutex);
      MUST(write(ends[1], "x", 1) == 1);
      for (;;) pause();
    }
    MUST(read(ends[0], &byte, 1) == 1 && pthread_mutex_trylock(mutex) == EBUSY);
    MUST(kill(child, SIGKILL) == 0);
    MUST(pthread_mutex_lock(mutex) == EOWNERDEAD && pthread_mutex_consistent(mutex) == 0);
    MUST(pthread_mutex_unlock(mutex) == 0 && ending(child) == 128 + SIGKILL);
    close(ends[0]);
    close(ends[1]);
  }
  return passed();
}
