// A library with functions whose implementation a resolver selects (IFUNC), called in every way: while it is
// initialized, by its own lazily bound calls, and by whoever looks the symbol up.
static int twice(int number) { return 2 * number; }
static int twice_otherwise(int number) { return number + number; }
static int thrice(int number) { return 3 * number; }

static int (*resolve_early(void))(int) { return twice_otherwise; }
static int (*resolve_late(void))(int) { return thrice; }

int (*unused)(int) = twice;
int early(int number) __attribute__((ifunc("resolve_early")));
int late(int number) __attribute__((ifunc("resolve_late")));

static int at_start;
static __attribute__((constructor)) void initialize(void) { at_start = early(3); }

int sum(int count) {
  int total = at_start;
  for (int i = 0; i < count; i++) total += early(i);
  return total;
}
