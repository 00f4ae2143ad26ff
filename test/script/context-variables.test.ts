import assert from "node:assert/strict";
import { test } from "node:test";
import type { FunctionType, Type } from "../../src/symbols/types/type.js";
import { DEFAULT_LIMITS } from "../../src/runtime/limits.js";
import { compile } from "../../src/script/compile.js";
import { typeText } from "../../src/script/context/type-text.js";
import { compileText, problemOf, run, type RunOptions } from "./run.js";
import { DENTRY, FILE, READ, TYPES } from "./sample-types.js";
import {
  alias,
  array,
  BOOL,
  bytes,
  CHAR,
  code,
  codes,
  constant,
  declared,
  DOUBLE,
  fn,
  INT,
  LONG,
  names,
  pointer,
  SHORT,
  struct,
  U8,
  UINT,
  ULONG,
  USHORT,
  VOID,
} from "./types.js";

/** Kernel addresses are negative numbers. */
const AT = -0x7f000000;
const ADDRESS = BigInt.asUintN(64, BigInt(AT));

const FILE_BYTES = bytes(
  [0x8002n, 4],
  [0n, 4],
  [0x1111n, 8],
  [ADDRESS + 0x100n, 8],
  // f_a = 5, f_b = -3, f_c = 1
  [5n | (0x1dn << 3n) | (1n << 8n), 8],
  [-7n, 8],
);
const MEMORY = {
  [AT]: FILE_BYTES,
  [AT + 0x100]: `${bytes([ADDRESS + 0x100n, 8])}name of it\0\0\0\0\0\0${bytes([ADDRESS + 0x200n, 8])}`,
  [AT + 0x200]: bytes([0o100644n, 2], [0n, 6], [0x1_0000_0002n, 8], [1n, 4], [-2n, 4], [3n, 4], [4n, 4]),
  [AT + 0x300]: bytes([42n, 8]),
  [AT + 0x400]: "text\0",
};
const REGISTERS = { rdi: ADDRESS, rsi: ADDRESS + 0x400n, rdx: 512n, rcx: ADDRESS + 0x300n };

const CODES = codes(code("vfs_read", READ, { types: TYPES }));
const OPTIONS: RunOptions = { codes: CODES, memory: MEMORY, registers: REGISTERS };

function printed(body: string, options: RunOptions = {}): string {
  const { output, outcomes } = run(`probe kernel.function("vfs_read") { ${body} }`, {
    ...OPTIONS,
    ...options,
  });
  for (const outcome of outcomes) if (outcome.kind !== "returned") throw new Error(JSON.stringify(outcome));
  return output;
}

function valueOf(expression: string, options: RunOptions = {}): bigint {
  return BigInt(printed(`print(${expression})`, options));
}

function problem(body: string, options: RunOptions = {}): string {
  const [first = ""] = problemOf(`probe kernel.function("vfs_read") { ${body} }`, {
    ...OPTIONS,
    ...options,
  }).split("\n");
  return first;
}

/** A probe on a function of that prototype. */
function on(prototype: FunctionType | undefined, ...types: readonly Type[]): RunOptions {
  return { codes: codes(code("f", prototype, { types: names(...types) })) };
}

test("parameters are in their registers", () => {
  assert.equal(valueOf("$file"), BigInt.asIntN(64, ADDRESS));
  assert.equal(valueOf("$count"), 512n);
  assert.equal(printed("print(kernel_string($buf))"), "text");
});

test("parameters have their types' widths and signs", () => {
  const seven = fn(VOID, { a: INT, b: UINT, c: SHORT, d: U8, e: CHAR, f: BOOL, g: USHORT, h: LONG });
  const registers = {
    rdi: 0x1234_5678_ffff_fffen,
    rsi: 0x1234_5678_ffff_fffen,
    rdx: 0xabcd_8000n,
    rcx: 0xfff0n,
    r8: 0xfff0n,
    r9: 0xff01n,
    rsp: ADDRESS + 0x500n,
  };
  const memory = { [AT + 0x500]: bytes([1n, 8], [0xabcd_fffen, 8], [-5n, 8]) };
  const options = { ...on(seven), registers, memory };
  assert.equal(
    printed('printdln(" ", $a, $b, $c, $d, $e, $f, $g, $h)', options),
    "-2 4294967294 -32768 240 -16 1 65534 -5\n",
  );
});

test("members are followed through pointers, structures and anonymous unions", () => {
  assert.equal(valueOf("$file->f_flags"), 0x8002n);
  assert.equal(valueOf("$file->f_pos"), -7n);
  assert.equal(valueOf("$file->f_path->dentry->d_inode->i_ino"), 0x1_0000_0002n);
  assert.equal(valueOf("$file->f_path->dentry->d_inode->i_low"), 2n);
  assert.equal(valueOf("$file->f_path->dentry->d_inode->i_mode"), 0o100644n);
  assert.equal(valueOf("$file->f_path->dentry->d_parent->d_parent->d_inode->i_low"), 2n);
  assert.equal(valueOf("$pos[0]"), 42n);
});

test("bit fields have their widths and signs", () => {
  assert.equal(printed('printdln(" ", $file->f_a, $file->f_b, $file->f_c)'), "5 -3 1\n");
});

test("arrays are indexed by numbers and by expressions, and are their addresses", () => {
  const inode = "$file->f_path->dentry->d_inode";
  assert.equal(valueOf(`${inode}->i_sizes[1]`), -2n);
  assert.equal(printed(`for (i = 0; i < 4; i++) println(${inode}->i_sizes[i])`), "1\n-2\n3\n4\n");
  assert.equal(valueOf(`${inode}->i_sizes`), BigInt.asIntN(64, ADDRESS + 0x200n + 16n));
  assert.equal(printed("print(kernel_string($file->f_path->dentry->d_name))"), "name of it");
  assert.equal(valueOf("$file[0]->f_flags"), 0x8002n);
});

test("addresses are told without reading what is there", () => {
  assert.equal(valueOf("&$file->f_pos", { memory: {} }), BigInt.asIntN(64, ADDRESS + 32n));
  assert.equal(valueOf("&$pos[2]", { memory: {} }), BigInt.asIntN(64, ADDRESS + 0x310n));
});

test("@cast reads what a number points to", () => {
  assert.equal(valueOf('@cast($file, "file")->f_flags'), 0x8002n);
  assert.equal(valueOf('@cast($file, "struct file", "kernel<linux/fs.h>")->f_pos'), -7n);
  assert.equal(valueOf('&@cast(0, "file")->f_pos'), 32n);
  assert.equal(valueOf('@cast($file->f_path->dentry, "dentry")->d_inode->i_sizes[2]'), 3n);
  assert.equal(printed('x = $file; print(@cast(x, "file")->f_a)'), "5");
});

test("@cast to a pointer reads the pointer first, and an index goes to one of many", () => {
  const at = BigInt.asIntN(64, ADDRESS + 16n);
  assert.equal(valueOf(`@cast(${at.toString()}, "struct dentry *")->d_inode->i_low`), 2n);
  assert.equal(valueOf('&@cast(0, "dentry")[2]'), 64n);
  assert.equal(valueOf('&@cast(0, "dentry")[2]->d_inode'), 88n);
});

test("@cast takes integers as C writes them, and as type information does", () => {
  const options = {
    ...OPTIONS,
    codes: codes(code("f", READ, { types: names(INT, UINT, ULONG, USHORT, CHAR) })),
  };
  const cast = (type: string): bigint => valueOf(`@cast($pos, "${type}")[0]`, options);
  for (const type of [
    "unsigned long",
    "long unsigned int",
    "unsigned",
    "int",
    "unsigned short",
    "const char",
  ])
    assert.equal(cast(type), 42n, type);
  assert.match(problem('x = @cast($pos, "shirt")[0]', options), /type definition 'shirt' not found/);
  assert.match(problem('x = @cast($pos, "short")[0]', options), /type definition 'short' not found/);
});

test("@cast works in functions and where no code is known", () => {
  const script = `
    function flags(f) { return @cast(f, "file", "kernel")->f_flags }
    probe kernel.function("vfs_read") { print(flags($file)) }`;
  assert.equal(run(script, OPTIONS).output, "32770");
  const timer = `probe timer.s(1) { print(@cast(${BigInt.asIntN(64, ADDRESS).toString()}, "file")->f_flags) }`;
  assert.equal(run(timer, OPTIONS).output, "32770");
});

test("a library's functions that use types are left out where nobody calls them", () => {
  const library = [{ name: "lib.stp", text: 'function f(p) { return @cast(p, "nothing", "kernel")->x }' }];
  assert.equal(run("probe begin { print(1) }", { library }).output, "1");
});

test("static variables are where the scene says, each processor's own too", () => {
  const variables = {
    jiffies: { address: 0x300n, type: ULONG, perCpu: false },
    runqueue: { address: 0x100n, type: DENTRY, perCpu: true },
    untyped: { address: 0x100n, type: VOID, perCpu: false },
  };
  const options: RunOptions = {
    codes: codes(code("f", fn(VOID, { jiffies64: LONG }), { variables, types: TYPES })),
    scene: {
      variableAddress: (_hit, image, address, perCpu) =>
        image === "kernel" ? ADDRESS + address + (perCpu ? 0x1000n : 0n) : undefined,
    },
    memory: { ...MEMORY, [AT + 0x1100]: bytes([0n, 8]) + "per cpu".padEnd(16, "\0") },
  };
  assert.equal(valueOf('@var("jiffies")', options), 42n);
  assert.equal(valueOf('@var("jiffies@kernel/time.c", "kernel")', options), 42n);
  assert.equal(valueOf("$jiffies", options), 42n);
  assert.equal(printed('print(@var("runqueue")->d_name$)', options), '"per cpu"');
  assert.match(
    problem('x = @var("jiffy")', options),
    /unable to find global 'jiffy': identifier '@var' at test\.stp:1/,
  );
  assert.match(
    problem('x = @var("untyped")', options),
    /no type information tells what 'untyped' is: @cast\(&@var\("untyped"\)/,
  );
  assert.match(
    problem('x = @var("untyped")->d_name', options),
    /no type information tells what 'untyped' is/,
  );
  assert.equal(printed('print(@cast(&@var("untyped"), "struct dentry")->d_name$)', options), '"name of it"');
  assert.equal(valueOf('@defined(@var("untyped")) * 10 + @defined(&@var("untyped"))', options), 1n);
  const gone = { ...options, scene: { variableAddress: () => undefined } };
  const [outcome] = run('probe kernel.function("f") { print($jiffies) }', gone).outcomes;
  assert.equal(outcome?.kind, "error");
  assert.equal(outcome.message, "'kernel' is not loaded: its variables are nowhere");
});

test("by-value structures of one word are in a register, larger ones on the stack", () => {
  const small = struct("small", [
    ["a", CHAR],
    ["b", SHORT],
    ["c", INT, 7],
    ["d", UINT, 9],
  ]);
  const large = struct("large", [
    ["a", LONG],
    ["b", array(INT, 4)],
  ]);
  const two = struct("two", [
    ["a", LONG],
    ["b", LONG],
  ]);
  const options = {
    ...on(fn(VOID, { s: small, l: large, t: two, x: INT })),
    registers: {
      rdi: 0xffn | (0xfffen << 16n) | (0x7fn << 32n) | (0x1ffn << 39n),
      rsi: 1n,
      rdx: 2n,
      rcx: 77n,
      rsp: ADDRESS,
    },
    memory: { [AT]: bytes([0n, 8], [9n, 8], [1n, 4], [2n, 4], [3n, 4], [-4n, 4]) },
  };
  assert.equal(
    printed('printdln(" ", $s->a, $s->b, $s->c, $s->d, $l->a, $l->b[3], $x)', options),
    "-1 -2 -1 511 9 -4 77\n",
  );
  assert.equal(printed("print($s$)", options), "{.a='\\377', .b=-2, .c=-1, .d=511}");
  assert.match(
    problem("print($t->a)", options),
    /'\$t' of f cannot be read: it is passed by value in two registers/,
  );
  assert.match(problem("print(&$s->a)", options), /cannot take address of object in register/);
});

test("floating-point parameters take no general register", () => {
  const options = {
    ...on(fn(VOID, { d: DOUBLE, x: INT, e: DOUBLE, y: INT })),
    registers: { rdi: 5n, rsi: 6n },
  };
  assert.equal(printed('printdln(" ", $x, $y)', options), "5 6\n");
  assert.match(
    problem("print($d)", options),
    /'\$d' of f cannot be read: it is passed in a floating-point register/,
  );
});

test("a large result's address comes before the parameters", () => {
  const large = struct("large", [["a", array(LONG, 3)]]);
  const options = { ...on(fn(large, { x: INT })), registers: { rdi: 5n, rsi: 6n } };
  assert.equal(valueOf("$x", options), 6n);
});

test("a read that fails is a handler fault with its place and SystemTap's words", () => {
  const { outcomes } = run('probe kernel.function("f") {\n  x = $file->f_path->dentry->d_inode }', {
    ...OPTIONS,
    memory: { [AT]: FILE_BYTES },
  });
  assert.equal(outcomes[0]?.kind, "handler-fault");
  assert.equal(outcomes[0].where, "identifier '$file' at test.stp:2:7");
  assert.equal(outcomes[0].fault.address, ADDRESS + 0x118n);
});

test("[S1 pre] a fenced read of a context variable that fails goes to the catch part, and all else runs", () => {
  const body = `
    for (i = 0; i < 3; i++) {
      try { x = $file[i * 4096]->f_flags; printf("%d ", x) } catch (m) { printf("<%s> ", m) }
    }
    try { print($file[4096]->f_path->dentry->d_name) } catch { print("no name ") }
    println(kernel_string($buf))`;
  const { output, probe } = run(`probe kernel.function("f") { ${body} }`, OPTIONS);
  const message = (index: number): string =>
    `<read fault [man error::fault] at 0x${(ADDRESS + BigInt(index * 4096 * 40)).toString(16)}> `;
  assert.equal(output, `32770 ${message(1)}${message(2)}no name text\n`);
  assert.equal(probe.fencedFaults, 3);
});

test("[S7b pre] MAXFAULT counts failed reads of context variables, and no fence outlives it", () => {
  const body = "for (i = 1; i < 9; i++) try { n += $file[i * 4096]->f_flags } catch { n++ }";
  const { outcomes, hit } = run(`probe kernel.function("f") { ${body} }`, {
    ...OPTIONS,
    limits: { MAXFAULT: 4 },
  });
  assert.equal(outcomes[0]?.kind, "handler-fault");
  assert.equal(hit.handlerFaults, 5);
});

test("a pointer that is not canonical is a handler fault too", () => {
  const { output } = run('probe kernel.function("f") { try { $file->f_flags } catch (m) { print(m) } }', {
    ...OPTIONS,
    registers: { rdi: 0x8000_0000_0000_0000n },
  });
  assert.equal(output, "read fault [man error::fault] at 0x8000000000000000");
});

const REFUSED: readonly (readonly [what: string, body: string, problem: string])[] = [
  [
    "a member that is not there",
    "x = $file->f_flag",
    "unable to find member 'f_flag' for struct file (alternatives: f_flags, f_a, f_b, f_c, f_path): operator '->' at test.stp:1:46",
  ],
  [
    "a parameter that is not there",
    "x = $fil",
    "unable to find local 'fil' in vfs_read (alternatives: $file, $buf, $pos, $count): identifier '$fil' at test.stp:1:41",
  ],
  ["$return at an entry", "x = $return", "unable to find local 'return' in vfs_read (alternatives: $"],
  ["@entry at an entry", "x = @entry($count)", "@entry is only valid in probes on the return of functions"],
  [
    "a structure as a value",
    "x = $file->f_path",
    "'struct path' is being accessed instead of a member such as '->mnt': operator '->' at test.stp:1:46",
  ],
  ["a member of a number", "x = $count->x", "invalid access '->x' vs. size_t"],
  ["a member of nothing", "x = $file->f_path->mnt->x", "invalid access '->x' vs 'void*'"],
  ["an element of nothing", "x = $file->f_path->mnt[1]", "invalid access '[1]' vs 'void*'"],
  ["an element of a structure", "x = $file->f_path[i]", "invalid access '[...]' for struct path"],
  ["a member of an array", "x = $file->f_path->dentry->d_name->x", "invalid access '->x' for array type"],
  ["the address of a bit field", "x = &$file->f_a", "cannot take the address of a bit field"],
  ["the address of a parameter", "x = &$file", "cannot take address of object in register"],
  [
    "a type that is not there",
    'x = @cast(1, "fill")->x',
    "type definition 'fill' not found: identifier '@cast'",
  ],
  ["a module that is not there", 'x = @cast(1, "file", "ext9")->x', "no type information of 'ext9' is known"],
  ["a write", "$count = 1", "write to target variable not permitted: there is no guru mode"],
  ["a string where a number is", '$count . "x"', "type mismatch: expected string but found long"],
  ["$$return at an entry", "print($$return)", "$$return is for probes on the return of functions"],
];

for (const [what, body, wanted] of REFUSED) {
  test(`${what} is refused, in SystemTap's words`, () => {
    assert.equal(problem(body).slice(0, `semantic error: ${wanted}`.length), `semantic error: ${wanted}`);
  });
}

test("a structure that is only declared is defined by its name, or refused", () => {
  const options = (...types: readonly Type[]): RunOptions =>
    on(fn(VOID, { f: pointer(declared("struct", "file")) }), ...types);
  assert.equal(valueOf("$f->f_flags", options(FILE)), 0x8002n);
  assert.match(problem("print($f->f_flags)", options()), /unresolved struct file: it is only declared/);
});

test("what has no prototype says so", () => {
  assert.match(problem("print($x)", on(undefined)), /unable to find local 'x' in f: its types are not known/);
  assert.equal(printed('print(@defined($x), "<", $$parms, ">")', on(undefined)), "0<>");
  assert.match(
    problemOf("probe timer.s(1) { print($x) }", OPTIONS),
    /no code of the target is concerned here/,
  );
  assert.match(
    problemOf("function f() { return $x } probe begin { f() }", OPTIONS),
    /a function belongs to no probed code/,
  );
});

test("inside of a function its parameters are refused with the reason", () => {
  const inside = { codes: codes(code("f", READ, { at: "inside", types: TYPES })) };
  assert.match(
    problem("print($count)", inside),
    /'\$count' of f is known where the function is entered and where it returns/,
  );
  assert.equal(printed("print($$parms)", inside), "file=? buf=? count=? pos=?");
});

test("@defined decides before types are looked at, and what is not taken may be nonsense", () => {
  assert.equal(
    printed("print(@defined($file->f_flags), @defined($file->nothing), @defined($nothing))"),
    "100",
  );
  assert.equal(printed('print(@defined(@cast(1, "file")->f_pos), @defined(@cast(1, "x")->y))'), "10");
  assert.equal(printed('if (@defined($nothing)) print($nothing . 5) else print("other")'), "other");
  assert.equal(printed('if (!@defined($nothing)) print("other"); else $nothing->x->y = 3'), "other");
  assert.equal(valueOf("@defined($file->nothing) ? $file->nothing : $file->f_a"), 5n);
  assert.equal(valueOf("@choose_defined($nothing, @choose_defined($file->nothing, $count))"), 512n);
  assert.equal(printed('if (@defined($nothing) && $nothing->x) print("no")'), "");
  assert.equal(printed('if (@defined($count) || $nothing->x) print("yes")'), "yes");
  assert.equal(printed('if (@defined($count) && $count == 512) print("yes")'), "yes");
});

test("functions in which context variables come to the same share a handler", () => {
  const same = Array.from({ length: 3000 }, (_, index) => code(`f${String(index)}`, READ, { types: TYPES }));
  const other = code("g", fn(VOID, { x: INT, file: pointer(FILE) }), { types: TYPES });
  const point = 'kernel.function("f*"), kernel.function("g*")';
  const body = "{ print($file->f_flags) if (@defined($count)) print($count) }";
  const { probes, program } = compileText(`probe ${point} ${body}`, { codes: codes(...same, other) });
  assert.equal(program.handlers.length, 2);
  const keys = probes.map(({ codes: by, points }) => points.map((each) => by?.get(each)?.length));
  assert.deepEqual(keys, [
    [3000, 3000],
    [1, 1],
  ]);
  assert.deepEqual(
    probes[1]?.codes?.get(probes[1].points[0] as never)?.map(({ key }) => key),
    ["g"],
  );
});

test("a body without context variables is compiled once, and asks for no code", () => {
  const nobody = {
    codesOf: () => assert.fail("asked"),
    typesOf: () => assert.fail("asked"),
  };
  const { probes } = compileText('probe kernel.function("*") { print(pp()) }', { codes: nobody });
  assert.equal(probes.length, 1);
  assert.equal(probes[0]?.codes, undefined);
});

test("what is used of each code is told with its type", () => {
  const { probes } = compileText(
    'probe kernel.function("f") { print($file->f_pos, $buf, $$parms, &$file->f_flags) }',
    OPTIONS,
  );
  assert.deepEqual(
    probes[0]?.uses.map(({ type }) => type),
    ["loff_t", "char*", "string", "unsigned int*"],
  );
});

test("a parameter may be const, an alias and a pointer to these", () => {
  const text = pointer(constant(CHAR));
  assert.equal(
    printed("print(kernel_string($p), $n)", {
      ...on(fn(VOID, { n: constant(alias("u8", U8)), p: text })),
      registers: { rdi: 0x1ffn, rsi: ADDRESS + 0x400n },
    }),
    "text255",
  );
});

test("who lists an alias gets its variables without a target that has their types", () => {
  const script =
    'probe a.b = kernel.function("f") { x = $nothing->y; text = $nothing$; n = @defined($z) ? $z : 1 } probe a.b { print(x, text, n) }';
  assert.match(problemOf(script), /unresolved target-symbol/);
  const { program } = compile({
    name: "test.stp",
    text: script,
    arguments: [],
    limits: DEFAULT_LIMITS,
    globals: new Map(),
    library: [],
    keepsUnused: true,
  });
  assert.deepEqual(
    program.handlers[0]?.locals.map(({ name, type }) => `${name}:${type}`),
    ["x:long", "text:string", "n:long"],
  );
});

test("types are written as SystemTap writes them", () => {
  const texts = [
    [pointer(FILE), "struct file*"],
    [pointer(constant(CHAR)), "char const*"],
    [constant(pointer(CHAR)), "char* const"],
    [pointer(fn(INT, { a: pointer(VOID), b: alias("size_t", ULONG) })), "int (*)(void*, size_t)"],
    [array(array(UINT, 3), 2), "unsigned int[2][3]"],
    [array(pointer(VOID), 0), "void*[]"],
    [struct("", []), "struct {...}"],
  ] as const;
  for (const [type, text] of texts) assert.equal(typeText(type), text);
});

test("monsters are refused in a sentence", () => {
  const nested = (depth: number): string => `x = ${"$pos[".repeat(depth)}0${"]".repeat(depth)}`;
  assert.match(
    problem(`x = $file${"->next".repeat(10_000)}`),
    /more than 100 members and elements behind one variable/,
  );
  assert.match(problem(nested(20_000)), /more than 500 statements or expressions in one another/);
  assert.match(problem(nested(400)), /more than 500 statements or expressions in one another/);
  assert.equal(problemless(nested(100)), true);
});

function problemless(body: string): boolean {
  compileText(`probe kernel.function("f") { ${body} }`, OPTIONS);
  return true;
}
