// Is stepped through by a debugger, which says what each variable holds; so does our reader.
typedef unsigned long word;
typedef signed char tiny;

enum colour { RED, GREEN = 5, BLUE = -3 };

struct inner {
  short low;
  int high;
};

struct sample {
  char letter;
  unsigned narrow : 3;
  int wide : 13;
  unsigned long far : 40;
  enum colour colour;
  struct inner parts[2][3];
  union {
    long number;
    unsigned char bytes[8];
  };
  struct sample *next;
  int (*call)(const char *, word, ...);
  volatile word flexible[];
};

struct pair {
  long first;
  long second;
};

static struct sample samples[2] = {{'a', 5, -9, 1UL << 39, BLUE, {{{1, 2}}}, {7}, &samples[1]}, {'b', 2, 77}};
int written;
static word hidden = 40;
const char *const text = "text";

static inline __attribute__((always_inline)) int mixed(int value, int by) {
  int half = value / 2;
  int sum = half * by + written;
  written = sum;
  return sum ^ by;
}

__attribute__((noinline)) long use(const void *what, long more) {
  __asm__ volatile("" : : "r"(what), "r"(more) : "memory");
  return more;
}

__attribute__((noinline)) long summed(const struct sample *from, unsigned count, tiny shift) {
  static int calls;
  long total = 0;
  calls++;
  for (unsigned index = 0; index < count; index++) {
    const struct sample *at = &from[index % 2];
    int part = mixed(at->parts[0][0].high + (int)index, shift);
    if (part > 3) {
      long twice = 2L * part;
      total += twice + at->letter;
    } else {
      total -= part;
    }
  }
  return total + calls;
}

__attribute__((noinline)) long paired(struct pair given, int turns) {
  struct pair own = {given.second, given.first};
  struct inner small = {(short)turns, turns * 3};
  for (int turn = 0; turn < turns; turn++) {
    own.first += turn;
    own.second ^= own.first;
    small.high -= small.low;
    use(0, own.first + small.high);
  }
  return own.first + own.second + small.high;
}

__attribute__((noinline)) long framed(long a, long b, long c, long d, long e, long f, long g, struct pair h) {
  long kept[4] = {a, b, c, d};
  struct sample copy = samples[0];
  enum colour colour = copy.colour;
  copy.letter = (char)(e + 1);
  copy.narrow = 6;
  copy.wide = -100;
  use(kept, g);
  use(&copy, h.second);
  kept[1] += f;
  use(kept, kept[1]);
  return kept[0] + copy.wide + (long)colour + h.first;
}

__attribute__((noinline)) long varied(int which, word value) {
  if (which == 0) return 0;
  {
    word value = hidden + (word)which;
    use(&value, (long)value);
    hidden = value;
  }
  return varied(which - 1, value) + (long)value;
}

void leave(long status) {
  __asm__ volatile("syscall" : : "a"(60L), "D"(status) : "rcx", "r11", "memory");
  __builtin_unreachable();
}

void _start(void) {
  __asm__ volatile("and $-16, %rsp");
  struct pair pair = {11, 22};
  long sum = summed(samples, 5, 3);
  sum += paired(pair, 3);
  sum += framed(1, 2, 3, 4, 5, 6, 7, pair);
  sum += varied(2, 9);
  leave(sum & 0 & (long)(word)text);
}
