// A library that loader.c loads and lets go of. Its name is not among those that the loader needs.
static volatile long loads, calls;

__attribute__((constructor)) static void loaded(void) { loads++; }

__attribute__((noinline)) static long inner(long value) {
  calls = calls + 1;
  return value * 3 + calls;
}

__attribute__((visibility("default"))) long plugin_work(long value) { return inner(value) + loads; }
