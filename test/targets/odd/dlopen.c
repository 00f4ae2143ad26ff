// A library is loaded, used and unloaded, again and again. dlopen(3).
#include "check.h"
#include <dlfcn.h>

int main(void) {
  for (int i = 0; i < 100; i++) {
    void *library = dlopen("libm.so.6", i % 2 ? RTLD_NOW : RTLD_LAZY);
    MUST(library != NULL);
    double (*power)(double, double) = (double (*)(double, double))(uintptr_t)dlsym(library, "pow");
    MUST(power != NULL && power(2, i % 10) == (double)(1 << i % 10));
    MUST(dlsym(library, "no such name") == NULL && dlclose(library) == 0);
    MUST(dlopen("libm.so.6", RTLD_NOW | RTLD_NOLOAD) == NULL);
  }
  MUST(dlopen("no such library", RTLD_NOW) == NULL && dlerror() != NULL);
  return passed();
}
