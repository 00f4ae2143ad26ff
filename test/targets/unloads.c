// `unloads LIBRARY`: forks, and lets go of a library at once that its child goes on to use; many times.
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) void over(void) { __asm__ volatile("" ::: "memory"); }

int main(int count, char **words) {
  if (count < 2) return 2;
  for (int round = 0; round < 100; round++) {
    void *library = dlopen(words[1], RTLD_NOW);
    if (!library) return 3;
    long (*work)(long) = (long (*)(long))dlsym(library, "plugin_work");
    if (round == 0) raise(SIGSTOP);
    pid_t child = fork();
    if (child == 0) {
      for (int i = 0; i < 10; i++) work(i);
      _exit(5);
    }
    dlclose(library);
    int status;
    if (waitpid(child, &status, 0) != child) return 4;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 5) return 100 + WTERMSIG(status);
  }
  over();
  return 0;
}
