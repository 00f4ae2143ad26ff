import assert from "node:assert/strict";
import { test } from "node:test";
import type { SceneSymbol } from "../../src/handlers/js/scene.js";
import { errorOf, printed, run, type RunOptions } from "./run.js";
import { bytes } from "./types.js";

const AT = -0x7f000000;
/** As a script writes it. */
const A = "0xffffffff81000000";

const MEMORY: RunOptions = {
  memory: { [AT]: 'tab\t"\0', [AT + 0x100]: bytes([0xfedc_ba98_8765_80f0n, 8]) },
};

test("kernel_string and its family read as their user_ sisters do", () => {
  assert.equal(printed(`print(kernel_string(${A}))`, MEMORY), 'tab\t"');
  assert.equal(printed(`print(kernel_string_n(${A}, 3))`, MEMORY), "tab");
  assert.equal(printed(`print(kernel_string2(0, "none"), kernel_string(0, "-"))`, MEMORY), "none-");
  assert.equal(
    printed(`print(kernel_string_quoted(${A}), kernel_string_quoted(0))`, MEMORY),
    '"tab\\t\\""0x0',
  );
  assert.equal(
    printed(
      `print(kernel_buffer_quoted(${A}, 6), kernel_buffer_quoted(${A}, 6, 2), kernel_buffer_quoted(7, 1))`,
      MEMORY,
    ),
    '"tab\\t\\"\\000""ta"0x7',
  );
});

test("kernel_int and its like have C's widths and signs", () => {
  const values: Readonly<Record<string, bigint>> = {
    char: -16n,
    int8: -16n,
    uint8: 240n,
    short: -32528n,
    int16: -32528n,
    ushort: 33008n,
    uint16: 33008n,
    int: -2023390992n,
    int32: -2023390992n,
    uint: 2271576304n,
    uint32: 2271576304n,
    long: -81985528930139920n,
    int64: -81985528930139920n,
    ulong: -81985528930139920n,
    uint64: -81985528930139920n,
    pointer: -81985528930139920n,
  };
  for (const [name, value] of Object.entries(values))
    assert.equal(printed(`print(kernel_${name}(${A} + 0x100))`, MEMORY), value.toString(), name);
});

test("[S1 pre] their faults say what could not be copied, as SystemTap does", () => {
  const caught = (call: string): string => printed(`try { ${call} } catch (m) { print(m) }`, MEMORY);
  assert.equal(caught("kernel_string(16)"), "kernel string copy fault at 0x10 [man error::fault]");
  assert.equal(caught("kernel_string_n(16, 2)"), "kernel string copy fault at 0x10 [man error::fault]");
  assert.equal(caught("kernel_long(-16)"), "kernel long copy fault at 0xfffffffffffffff0 [man error::fault]");
  assert.equal(caught("kernel_pointer(16)"), "kernel pointer copy fault at 0x10 [man error::fault]");
  assert.equal(caught("user_string(16)"), "user string copy fault -14 at 0x10 [man error::fault]");
});

test("[S2 pre] unfenced they cancel the handler", () => {
  const { outcomes, output } = run('probe begin { print("a") kernel_int(0) print("b") }', MEMORY);
  assert.equal(output, "a");
  assert.equal(outcomes[0]?.kind, "handler-fault");
});

test("user_ functions read no kernel memory", () => {
  const calls = [
    `user_string(${A})`,
    `user_int(${A})`,
    `user_buffer_quoted(${A}, 2, 2)`,
    `user_string_n(${A}, 2)`,
  ];
  for (const call of calls) {
    const [outcome] = run(`probe begin { print(${call}) }`, MEMORY).outcomes;
    assert.equal(outcome?.kind, "handler-fault", call);
    assert.equal(outcome.fault.reason, "not-user-space");
  }
  assert.equal(printed(`print(user_string(${A}, "none"), user_string_quoted(${A}))`, MEMORY), `none${A}`);
});

const SYMBOLS: readonly (SceneSymbol & { readonly at: bigint })[] = [
  { at: 0xffff_ffff_8100_0000n, name: "vfs_read", offset: 0, size: 0x130, module: "kernel" },
  { at: 0xffff_ffff_8100_1010n, name: "ksys_read", offset: 0x10, size: 0xc0, module: "kernel" },
  { at: 0xffff_ffff_c000_0004n, name: "mine", offset: 4, size: 0, module: "ext4" },
];
const STACK: RunOptions = {
  ...MEMORY,
  scene: {
    backtrace: (_hit, stack) => (stack === "kernel" ? [...SYMBOLS.map(({ at }) => at), 0x123n] : undefined),
    symbolAt: (_hit, address) => SYMBOLS.find(({ at }) => at === BigInt.asUintN(64, address)),
    currentTask: () => 0xffff_8880_0000_1000n,
  },
};

test("backtraces are printed, given as text and as numbers", () => {
  assert.equal(
    printed("print_backtrace()", STACK),
    [
      " 0xffffffff81000000 : vfs_read+0x0/0x130 [kernel]",
      " 0xffffffff81001010 : ksys_read+0x10/0xc0 [kernel]",
      " 0xffffffffc0000004 : mine+0x4 [ext4]",
      " 0x123",
      "",
    ].join("\n"),
  );
  assert.equal(
    printed("print(sprint_backtrace())", STACK),
    "vfs_read+0x0 [kernel]\nksys_read+0x10 [kernel]\nmine+0x4 [ext4]\n0x123\n",
  );
  assert.equal(
    printed("print(backtrace())", STACK),
    "0xffffffff81000000 0xffffffff81001010 0xffffffffc0000004 0x123 ",
  );
  assert.equal(
    printed("print_stack(backtrace())", STACK),
    printed("print(sprint_stack(backtrace()))", STACK),
  );
  assert.equal(
    printed('print_stack("0xffffffff81000000 123")', STACK),
    " 0xffffffff81000000 : vfs_read+0x0/0x130 [kernel]\n 0x123 : 0x123\n",
  );
  assert.equal(printed("print(caller())", STACK), "ksys_read 0xffffffff81001010");
  assert.equal(printed('printf("%x %x", stack(0), stack(3))', STACK), "ffffffff81000000 123");
});

test("text of a backtrace that a string does not hold ends with a whole line", () => {
  assert.equal(
    printed("print(sprint_backtrace())", { ...STACK, limits: { MAXSTRINGLEN: 40 } }),
    "vfs_read+0x0 [kernel]\n",
  );
});

test("symbols are told with their place and module", () => {
  assert.equal(
    printed(`println(symdata(${A}), " ", modname(${A}), " ", symdata(5), modname(5))`, STACK),
    "vfs_read+0x0/0x130 [kernel] kernel 0x5<unknown>\n",
  );
});

test("the current task is a number that @cast takes", () => {
  assert.equal(printed('printf("%p", task_current())', STACK), "0xffff888000001000");
});

test("what a target does not have is an error with its sentence", () => {
  assert.match(
    errorOf("probe begin { print_ubacktrace() }", STACK),
    /^no user-space backtrace: nothing of this target tells how/,
  );
  assert.match(
    errorOf("probe begin { print_backtrace() }", MEMORY),
    /^no kernel backtrace: this target has no kernel stack/,
  );
  assert.match(
    errorOf("probe begin { print(task_current()) }", MEMORY),
    /^this target has no task structures/,
  );
  assert.match(errorOf("probe begin { print(stack(9)) }", STACK), /^unable to unwind the stack to level 9/);
});
