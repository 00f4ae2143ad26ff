// Many threads, or many processes, that all pass through one function; each pass is counted by the program too.
//   crowd threads    1,000 that wait; stops; 1,000 more; all pass; then 500 that come and go
//   crowd children   stops; 500 at once, which pass when all are there
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITING 1000
#define TOGETHER 2000
#define PASSING 500
#define CHILDREN 500
#define PASSES 5

__attribute__((noinline)) void pass(long *counter) {
  __asm__ volatile(".globl the_pass\n.type the_pass, @function\nthe_pass: incq (%0)" : : "r"(counter) : "memory", "cc");
}

/** All threads, or all children, are there. */
__attribute__((noinline)) void assembled(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void dispersed(void) { __asm__ volatile("" ::: "memory"); }

static pthread_barrier_t there, go, done;

static void *together(void *counter) {
  pthread_barrier_wait(&there);
  pthread_barrier_wait(&go);
  for (int i = 0; i < PASSES; i++) pass(counter);
  pthread_barrier_wait(&done);
  return NULL;
}

static void *passing(void *counter) {
  for (int i = 0; i < PASSES; i++) pass(counter);
  return NULL;
}

static pthread_t start(void *(*body)(void *), long *counter) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  if (pthread_create(&thread, &attributes, body, counter) != 0) _exit(3);
  return thread;
}

static int threads(void) {
  static pthread_t all[TOGETHER];
  static long passes[TOGETHER], late;
  long sum = 0;
  pthread_barrier_init(&there, NULL, TOGETHER + 1);
  pthread_barrier_init(&go, NULL, TOGETHER + 1);
  pthread_barrier_init(&done, NULL, TOGETHER + 1);
  for (int i = 0; i < WAITING; i++) all[i] = start(together, &passes[i]);
  raise(SIGSTOP);
  for (int i = WAITING; i < TOGETHER; i++) all[i] = start(together, &passes[i]);
  pthread_barrier_wait(&there);
  pthread_barrier_wait(&go);
  pthread_barrier_wait(&done);
  assembled();
  for (int i = 0; i < TOGETHER; i++) pthread_join(all[i], NULL), sum += passes[i];
  for (int i = 0; i < PASSING; i++) pthread_join(start(passing, &late), NULL);
  dispersed();
  raise(SIGSTOP);
  return sum + late == (TOGETHER + PASSING) * PASSES ? 7 : 8;
}

static int children(void) {
  int ready[2], begin[2], left = CHILDREN, status;
  char byte = 0;
  raise(SIGSTOP);
  if (pipe(ready) != 0 || pipe(begin) != 0) return 3;
  for (int i = 0; i < CHILDREN; i++) {
    pid_t child = fork();
    if (child < 0) return 3;
    if (child > 0) continue;
    close(begin[1]);
    if (write(ready[1], &byte, 1) != 1 || read(begin[0], &byte, 1) != 0) _exit(1);
    long own = 0;
    for (int i = 0; i < PASSES; i++) pass(&own);
    _exit(own == PASSES ? 5 : 1);
  }
  for (int i = 0; i < CHILDREN; i++)
    if (read(ready[0], &byte, 1) != 1) return 3;
  assembled();
  close(begin[1]);
  while (left > 0 && wait(&status) > 0) left -= WIFEXITED(status) && WEXITSTATUS(status) == 5;
  dispersed();
  raise(SIGSTOP);
  return left == 0 ? 7 : 8;
}

int main(int count, char **words) {
  return count > 1 && strcmp(words[1], "threads") == 0 ? threads() : children();
}
