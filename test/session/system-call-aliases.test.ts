import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { flagFunctions, systemCallAliases } from "../../src/session/script/system-call-aliases.js";
import { systemCallNames } from "../../src/arch/x86_64/system-call-names.js";
import { tapset } from "../../src/session/script/tapset.js";

import { run } from "../script/run.js";

const flags = (table: string, call: string): string => {
  const library = [{ name: "tapset/kernel/flags.stp", text: flagFunctions(table) }];
  return run(`probe begin { print(${call}) }`, { library }).output;
};
const table = (name: string): string =>
  readFileSync(new URL(`../../src/tapset/kernel/${name}.table`, import.meta.url), "utf8");
const FLAGS = table("flags");

test("flags are told as words, and what has none as a number", () => {
  assert.equal(flags(FLAGS, "_open_str(0)"), "O_RDONLY");
  assert.equal(flags(FLAGS, "_open_str(02001 | 0x40)"), "O_WRONLY|O_CREAT|O_APPEND");
  assert.equal(flags(FLAGS, "_open_str(0x101000)"), "O_RDONLY|O_SYNC");
  assert.equal(flags(FLAGS, "_open_str(0x410002)"), "O_RDWR|O_TMPFILE");
  assert.equal(flags(FLAGS, "_open_str(0x40000001)"), "O_WRONLY|0x40000000");
  assert.equal(flags(FLAGS, "_mmap_str(0x22)"), "MAP_PRIVATE|MAP_ANONYMOUS");
  assert.equal(flags(FLAGS, "_mmap_str(3)"), "MAP_SHARED_VALIDATE");
  assert.equal(flags(FLAGS, "_access_str(0)"), "F_OK");
  assert.equal(flags(FLAGS, "_access_str(6)"), "R_OK|W_OK");
  assert.equal(flags(FLAGS, "_at_str(0)"), "0x0");
  assert.equal(flags(FLAGS, "_wait_str(-2147483648)"), "__WCLONE");
  assert.equal(flags(FLAGS, "_dfd_str(-100)"), "AT_FDCWD");
  assert.equal(flags(FLAGS, "_dfd_str(7)"), "7");
  assert.equal(flags(FLAGS, "_filemode_str(0100644)"), "S_IFREG|0644");
});

test("a line of the table is an alias with SystemTap's variables", () => {
  assert.equal(
    systemCallAliases("# words\nopen: filename:s flags:open mode:create@2\n"),
    `probe syscall.open = kernel.syscall("open") { name = "open"
filename_unquoted = user_string2(pointer_arg(1), "")
filename = user_string_quoted(pointer_arg(1))
flags = int_arg(2)
flags_str = _open_str(flags)
mode = uint_arg(3)
argstr = sprintf("%s, %s", filename, flags_str)
if (flags & 64) argstr .= sprintf(", %#o", mode) }
probe syscall.open.return = kernel.syscall("open").return { name = "open" retstr = returnstr(1) }`,
  );
  assert.match(
    systemCallAliases("pread64=pread: fd:d"),
    /^probe syscall\.pread = kernel\.syscall\("pread64"\) \{ name = "pread"[^]*^probe syscall\.pread64 = syscall\.pread \{\}$/m,
  );
  assert.match(
    systemCallAliases("pipe2+pipe: fildes_uaddr:p"),
    /^probe syscall\.pipe2 = kernel\.syscall\("pipe2"\)[^]*^probe syscall\.pipe = syscall\.pipe2 \{\}$/m,
  );
});

test("the table names calls of x86-64 only, each once", () => {
  const calls = [...table("system-calls").matchAll(/^(\w+)(?:[=+]\w+)?:/gm)].map(([, name]) => name ?? "");
  const known = new Set(systemCallNames());
  assert.deepEqual(
    calls.filter((name) => !known.has(name)),
    [],
  );
  assert.equal(new Set(calls).size, calls.length);
  assert.ok(calls.length > 330, `only ${String(calls.length)} calls`);
});

test("a kernel's session has the calls that its script names, and what they need", () => {
  const text = (asked: string): string =>
    tapset({ kernel: true, asked })
      .map((each) => each.text)
      .join("\n");
  assert.match(text("probe syscall.open {}"), /^probe syscall\.open = [^]*^probe syscall\.open\.return = /m);
  assert.match(text("probe syscall.open {}"), /^function _open_str:/m);
  assert.doesNotMatch(text("probe syscall.open {}"), /^probe syscall\.openat = |^function _mmap_str:/m);
  assert.match(text("probe nd_syscall.pread64 {}"), /^probe syscall\.pread64 = syscall\.pread /m);
  assert.match(text("probe syscall.*at.return {}"), /^probe syscall\.openat = /m);
  // A name that a macro makes is not seen in the text.
  assert.match(text("probe syscall.@1 {}"), /^probe syscall\.vmsplice = /m);
});

test("a program's session has nothing of a kernel's library", () => {
  const names = tapset({ kernel: false, asked: "" }).map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) => name.includes("kernel")),
    [],
  );
  assert.ok(names.length > 0);
});
