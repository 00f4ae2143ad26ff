import { test } from "node:test";
import { needs } from "../../support/needs.js";
import { assertSame, bothOf } from "./both.js";
import { MEMORY } from "./pieces.js";

const EDGES = [0n, 1n, -1n, 2n, 63n, 64n, 7n, -7n, 0x7fff_ffffn, 0x8000_0000n, 2n ** 63n - 1n, -(2n ** 63n)];
const PAIRS = EDGES.flatMap((rdi) => EDGES.map((rsi) => ({ rdi, rsi })));
const C = needs("gcc");

test("arithmetic, at the edges of the range: each operator on registers and on constants", C, () => {
  const operators = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", ">>>"];
  assertSame(
    ...operators.map((operator) =>
      bothOf(
        `global r probe begin { r = register("rdi") ${operator} register("rsi") }`,
        PAIRS.filter(({ rsi }) => rsi !== 0n || (operator !== "/" && operator !== "%")),
      ),
    ),
    ...operators.flatMap((operator) =>
      ["1", "8", "-1", "10", "0x100000001", "-8", "0x7fffffff"].flatMap((constant) => [
        bothOf(
          `global r probe begin { x = register("rdi"); r = x ${operator} (${constant}) }`,
          EDGES.map((rdi) => ({ rdi })),
        ),
        bothOf(
          `global r probe begin { x = register("rdi"); r = (${constant}) ${operator} x }`,
          EDGES.filter((rdi) => rdi !== 0n || (operator !== "/" && operator !== "%")).map((rdi) => ({ rdi })),
        ),
      ]),
    ),
    bothOf(
      `global r, s, t probe begin { x = register("rdi"); r = -x; s = ~x; t = !x }`,
      EDGES.map((rdi) => ({ rdi })),
    ),
  );
});

test("a division by 0 ends the handler, or is caught by a fence", C, () => {
  const zero = [
    { rdi: 7n, rsi: 0n },
    { rdi: 7n, rsi: 2n },
  ];
  assertSame(
    bothOf(`global r probe begin { r++; r += register("rdi") / register("rsi") }`, zero),
    bothOf(`global r probe begin { r++; r = register("rdi") % register("rsi"); r = 5 }`, zero),
    bothOf(`global r probe begin { r = 1 / 0 }`),
    bothOf(
      `global r probe begin { try { r = 3; r = register("rdi") / register("rsi") } catch { r += 100 } r++ }`,
      zero,
    ),
    bothOf(
      `global r probe begin { try { try { error("a") } catch (m) { r = 4; error("b") } } catch (n) { r *= 3 } }`,
    ),
    bothOf(`global r probe begin { r = 1; error("as it is said"); r = 2 }`),
  );
});

test("comparisons, logic and choices, as values and as conditions", C, () => {
  assertSame(
    ...["<", "<=", ">", ">=", "==", "!="].flatMap((operator) => [
      bothOf(
        `global r, n probe begin { r = register("rdi") ${operator} register("rsi"); if (register("rdi") ${operator} register("rsi")) n++ else n += 100 }`,
        PAIRS,
      ),
      bothOf(`global n probe begin { if (7 ${operator} register("rdi")) n++ }`, PAIRS),
    ]),
    bothOf(
      `global a, b, c, d probe begin { x = register("rdi"); y = register("rsi")
         a = x > 0 && y > 0; b = x > 0 || y > 0; c = !(x && y) || !x; d = x < y ? x ? 1 : 2 : (y || 0) ? 3 : 4 }`,
      PAIRS,
    ),
  );
});

test("variables: what is read before it changes keeps its value, old and new", C, () => {
  assertSame(
    bothOf(`global a, b, c, g probe begin {
      x = 3; a = x + (x = 5) * x; b = x++ * 10 + x--; c = (x += 2) - x++; g = 7; g += (g = 2) + g; g = g++ + ++g
      x -= (x = 1); a += x }`),
    bothOf(`global g = 40 probe begin { g++ }`),
    bothOf(`global g = -3 probe begin { g -= 5 }`),
    bothOf(`global g, h probe begin { g += register("rdi"); h -= register("rsi") }`, PAIRS),
    bothOf(`global g, h probe begin { h = g++; delete g; h += --g }`, [{}, {}]),
    bothOf(`global g probe begin { g |= register("rdi"); }`, PAIRS),
    bothOf(`global g = 99 probe begin { g *= register("rdi") }`, PAIRS),
    bothOf(`global g probe begin { x = 5; delete x; g = x }`),
  );
});

test("registers by their names, arguments by their numbers, also on the stack", C, () => {
  const names = [
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rbp",
    "rsp",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r15",
  ];
  assertSame(
    ...[...names, "rip", "eax", "al", "ah", "dil", "r9d", "r10w", "r11b", "ch"].map((name) =>
      bothOf(`global r, u probe begin { r = register("${name}"); u = u_register("${name}") }`, [
        { rax: 0xffff_ffff_8000_8180n, rcx: 0x8080n, r9: 0xffff_ffffn, rdi: -1n },
      ]),
    ),
    bothOf(
      `global sum probe begin { ${names.map((name) => `sum = sum * 3 + register("${name}");`).join("")} }`,
    ),
    ...[1, 2, 3, 4, 5, 6, 7, 8, 12].map((number) =>
      bothOf(
        `global a, b, c probe begin { a = int_arg(${number}); b = ulong_arg(${number}); c = u32_arg(${number}) + returnval() }`,
        [{ rdi: -5n, rsi: 0xffff_ffff_ffffn }],
      ),
    ),
    bothOf(`global a probe begin { a = uaddr() }`),
  );
});

test("loads of each size; a fault ends the handler or its fence, and MAXFAULT bounds them", C, () => {
  const sizes = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"];
  const addresses = [MEMORY, MEMORY + 1, MEMORY + 0xff8, MEMORY + 0xffd, MEMORY + 0x1000, 0, 1].map(BigInt);
  const all = [...addresses, -1n, -(2n ** 47n), 2n ** 47n, 0x1234_5678_9abc_def0n, -(2n ** 63n)];
  // Alignment is checked in some: what handlers read need not be aligned.
  const hits = all.flatMap((rdi) => [{ rdi }, { rdi, flags: 0x4_0202n | 0xcd5n }]);
  assertSame(
    ...sizes.flatMap((size) => [
      bothOf(`global r probe begin { r = 1; r = user_${size}(register("rdi")) }`, hits),
      bothOf(
        `global r probe begin { try { r = user_${size}(register("rdi")) } catch { r = 7777 } r += 2 }`,
        hits,
      ),
    ]),
    bothOf(
      `global r probe begin { for (i = 0; i < 20; i++) try { r += user_int8(i) } catch (m) { r += 100 } r++ }`,
      [{}],
      { MAXFAULT: 5 },
    ),
    bothOf(
      `global r function f(x) { return user_int8(x) }
       probe begin { try { r = f(register("rdi")) } catch { r = 5; r = f(register("rsi")) } r = 9 }`,
      [
        { rdi: 1n, rsi: 2n },
        { rdi: 1n, rsi: BigInt(MEMORY) },
      ],
    ),
  );
});

test("loops, their ends and their bound", C, () => {
  const body = `for (i = 0; i < register("rdi"); i++) { if (i == 3) continue; if (i == 8) break; n += i } n *= 2`;
  assertSame(
    bothOf(`global n probe begin { ${body} }`, [{ rdi: 0n }, { rdi: 6n }, { rdi: 20n }]),
    bothOf(`global n probe begin { while (1) n++ }`),
    bothOf(`global n probe begin { try { while (1) { n++; n++ } } catch { n = -1 } }`),
    ...[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20].map((MAXACTION) =>
      bothOf(`global n, m probe begin { for (i = 0; i < 5; i++) { n++; if (n > 3) m++ } m += 50 }`, [{}], {
        MAXACTION,
      }),
    ),
    ...[1, 2, 3, 4].map((MAXACTION) =>
      bothOf(`global n probe begin { n = 1; n = 2; if (n) n = 3 }`, [{}], { MAXACTION }),
    ),
    bothOf(
      `global n probe begin { for (i = 0; i < 4; i++) for (j = 0; j < 4; j++) { if (j > i) break; n += j } }`,
    ),
    bothOf(`global n probe begin { n = 1; for (;;) { n++; if (n > 5) next } n = 0 }`),
  );
});

test("functions are put where they are called", C, () => {
  assertSame(
    bothOf(
      `global r function f(a, b) { if (a > b) return a - b; for (;;) { a++; if (a > b) return a } }
       function g(x) { y = f(x, 3); return f(y, x) + y }
       probe begin { r = g(register("rdi") & 15) * 1000 + f(f(1, 2), f(register("rsi") & 7, 4)) }`,
      PAIRS,
    ),
    bothOf(`global r function v(x) { r += x; if (x > 3) return; r += 100 } probe begin { v(2); v(5) }`),
    bothOf(
      `global r function n(x) { if (x) next; return 4 } probe begin { r = 1; r = n(register("rdi")); r += 2 }`,
      [{ rdi: 0n }, { rdi: 1n }],
    ),
    bothOf(`global r function z:long(x) { if (x) return 3 } probe begin { r = z(0) + 10 * z(1) }`),
  );
});

test("statistics: counts, sums, extremes, histograms of both kinds", C, () => {
  const values = [...EDGES, 5n, 5n, 100n, 101n, 1000n, -1000n].map((rdi) => ({ rdi }));
  const show = (histogram: string): string => `probe end { print(${histogram}) }`;
  assertSame(
    bothOf(`global s probe begin { s <<< register("rdi") }`, values),
    bothOf(`global s, n probe begin { n++; s <<< register("rdi") * 3 } ${show("@hist_log(s)")}`, values),
    ...["0, 100, 10", "-50, 50, 7", "0, 1000, 100", "100, 105, 1", "0, 64, 16"].map((shape) =>
      bothOf(
        `global s probe begin { s <<< register("rdi") } ${show(`@hist_linear(s, ${shape})`)}`,
        Array.from({ length: 130 }, (_, index) => ({ rdi: BigInt(index - 60) })).concat(values),
      ),
    ),
    bothOf(
      `global s, a, b, c probe begin { s <<< register("rdi"); a = @count(s); b = @sum(s); c = @min(s) ^ @max(s) ^ @avg(s) }`,
      values,
    ),
    bothOf(
      `global s, a probe begin { a = @sum(s) + @count(s); s <<< 5; delete s; try { a = @min(s) } catch { a++ } }`,
      [{}, {}],
    ),
    bothOf(`global s, a probe begin { a = @avg(s) }`),
  );
});
