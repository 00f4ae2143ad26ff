import assert from "node:assert/strict";
import { test } from "node:test";
import { printed, problemOf, run } from "./run.js";

test("script arguments: $1 is text of the script, @1 a string, $# their number", () => {
  const options = { arguments: ["5", "-7", "he said"] };
  assert.equal(
    printed('print($1 + 1, " ", @1, " ", $2 * 2, " ", @3, " ", $#)', options),
    "6 5 -14 he said 3",
  );
  assert.equal(run("probe $1 { print(1) }", { arguments: ["begin"] }).output, "1");
  assert.match(
    problemOf("probe begin { print($1) }"),
    /parse error: command line argument out of range \[1-0\]\n {8}saw: identifier '\$1' at test\.stp:1:21/,
  );
});

test("conditionals choose tokens", () => {
  assert.equal(printed('%( 1 == 1 %? print("t") %: print("f") %)'), "t");
  assert.equal(printed('%( arch == "arm64" %? print("t") %) print(1)'), "1");
  assert.equal(printed('print(%( 2 > 1 && 1 > 2 || 3 != 4 %? "t" %: "f" %))'), "t");
  assert.equal(printed('print(%( 1 > 2 || 3 == 3 && 4 == 5 %? "t" %: "f" %))'), "f");
  assert.equal(run("%( 1 == 2 %? probe never { } %: probe begin { print(2) } %)").output, "2");
});

test("conditionals nest, and the branch not taken needs no arguments", () => {
  assert.equal(printed('%( $# > 0 %? print($1) %: %( 1 == 1 %? print("n") %: print($2) %) %)'), "n");
});

test("versions are compared by their numbers", () => {
  assert.equal(
    printed(
      'print(%( systemtap_v >= "2.10" %? 1 %: 0 %), %( systemtap_v < "10.0" %? 1 %: 0 %), %( kernel_v > "2.6.9" %? 1 %: 0 %))',
    ),
    "111",
  );
});

test("macros stand for their bodies, with arguments", () => {
  assert.equal(run("@define N %( 7 %) probe begin { print(@N + 1) }").output, "8");
  assert.equal(
    run(
      "@define MAX(a, b) %( (@a > @b ? @a : @b) %) probe begin { print(@MAX(3, (2, 9)[0])) }".replace(
        "(2, 9)[0]",
        "4 + 1",
      ),
    ).output,
    "5",
  );
  assert.equal(
    run(
      "@define CALL(f) %( f(@f, 2) %) function f(a, b) { return a * b } probe begin { print(@CALL(f(3, 4))) }",
    ).output,
    "24",
  );
  assert.equal(run('@define P %( probe begin { print("p") } %) @P').output, "p");
});

test("macros use macros, and may hold conditionals", () => {
  assert.equal(run("@define A %( 1 %) @define B %( (@A + @A) %) probe begin { print(@B) }").output, "2");
  assert.equal(
    run('@define A(x) %( %( 1 == 1 %? @x %: "f" %) %) probe begin { print(@A("t")) }').output,
    "t",
  );
});

test("a wrong use of macros is refused", () => {
  assert.match(
    problemOf("@define A(x) %( @x %) probe begin { print(@A(1, 2)) }"),
    /too many parameters for macro '@A' \(expected 1\)/,
  );
  assert.match(
    problemOf("@define A(x) %( @x %) probe begin { print(@A) }"),
    /expected '\(' in invocation of macro/,
  );
  assert.match(problemOf("@define A %( @A %) probe begin { print(@A) }"), /macro '@A' expands without end/);
  assert.match(problemOf("@define A %( 1"), /incomplete macro definition - missing '%\)'/);
  assert.match(problemOf("@define A %( 1 %) @define A %( 2 %)"), /attempt to redefine macro '@A'/);
  assert.match(problemOf("@define A %( @define B %( 1 %) %)"), /'@define' forbidden inside macro body/);
});

test("a script's macros stand in front of the library's", () => {
  const library = [{ name: "lib.stp", text: "@define L %( 1 %) @define M %( 2 %)" }];
  assert.equal(run("@define M %( 3 %) probe begin { print(@L, @M) }", { library }).output, "13");
});

test("wrong conditionals are refused", () => {
  assert.match(problemOf("%( 1 == 1 probe begin { }"), /incomplete condition after '%\('/);
  assert.match(problemOf("%( 1 == 1 %? probe begin { }"), /incomplete conditional at end of file/);
  assert.match(problemOf('%( 1 == "a" %? %) probe begin { }'), /expected number literal as right value/);
  assert.match(problemOf("%( nonsense == 1 %? %) probe begin { }"), /expected 'arch'/);
});

test("@defined tells whether a context variable is there: none is, yet", () => {
  assert.equal(printed('print(@defined($x) ? "y" : "n")'), "n");
});
