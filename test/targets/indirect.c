// Loads a library with IFUNCs and calls them; the library's path is the argument.
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **words) {
  void *library = dlopen(words[1], RTLD_LAZY);
  if (!library) {
    puts(dlerror());
    return 1;
  }
  int (*sum)(int) = (int (*)(int))dlsym(library, "sum");
  int total = sum(4);
  int (*late)(int) = (int (*)(int))dlsym(library, "late");
  for (int i = 0; i < 5; i++) total += late(i);
  printf("total %d\n", total);
  return 0;
}
