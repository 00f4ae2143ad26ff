// Comes into functions in every way that compilers know: switch tables, computed goto, exceptions, tail calls,
// longjmp, signal handlers, virtual calls, recursion.
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>
#include <algorithm>

static jmp_buf jump;
static volatile sig_atomic_t signals;

__attribute__((noinline)) static int chosen(int x) {
  switch (x) {
  case 0: return 11;
  case 1: return signals + 3;
  case 2: return x * 7;
  case 3: return rand();
  case 4: return puts("four");
  case 5: return -x;
  case 6: return x << 3;
  default: return 0;
  }
}

__attribute__((noinline)) static int interpret(const unsigned char *code) {
  static const void *const labels[] = {&&add, &&sub, &&twice, &&end};
  static const int distances[] = {(int)((char *)&&add2 - (char *)&&add2), (int)((char *)&&end2 - (char *)&&add2)};
  int value = 0;
  goto *labels[*code];
add: value += 3; goto *labels[*++code];
sub: value -= 1; goto *labels[*++code];
twice: value *= 2; goto *labels[*++code];
end:
  code++;
  goto *((char *)&&add2 + distances[*code]);
add2: value += 100; code++; goto *((char *)&&add2 + distances[*code]);
end2: return value;
}

struct Shape { virtual int area() = 0; virtual ~Shape() {} };
struct Square : Shape { int a; Square(int a) : a(a) {} int area() override { return a * a; } };
struct Line : Shape { int area() override { return 0; } };

__attribute__((noinline)) static int may_throw(int x) {
  if (x % 3 == 0) throw std::runtime_error("three");
  if (x % 5 == 0) throw x;
  return x;
}

__attribute__((noinline)) static int caught(int x) {
  std::string held(x % 40, 'x');
  try { return may_throw(x) + (int)held.size(); }
  catch (const std::runtime_error &e) { return (int)std::string(e.what()).size(); }
  catch (int n) { return -n; }
}

static void on_signal(int) { signals++; }
static void on_jump(int) { siglongjmp(jump, 1); }

int main() {
  static const unsigned char code[] = {0, 2, 1, 0, 2, 3, 0, 0, 1};
  long sum = 0;
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, on_jump);
  std::vector<int> numbers;
  for (int round = 0; round < 16; round++) {
    sum += chosen(round % 8) + interpret(code) + caught(round);
    Shape *shape = round % 2 ? (Shape *)new Square(round) : new Line();
    sum += shape->area();
    delete shape;
    if (round % 8 == 0) raise(SIGUSR1);
    if (round % 16 == 0 && sigsetjmp(jump, 1) == 0) raise(SIGUSR2);
    numbers.push_back((round * 7919) % 101);
  }
  std::sort(numbers.begin(), numbers.end());
  std::printf("%d %d %d\n", numbers.front(), numbers.back(), (int)signals);
  return sum == 1;
}
