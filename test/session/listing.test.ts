import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDefinitions } from "../../src/runtime/limits.js";
import { listPoints } from "../../src/session/script/list-points.js";
import { StaticPoints } from "../../src/session/process/listing.js";
import { resolveProgram } from "../../src/symbols/programs.js";
import { needs } from "../support/needs.js";
import { trapline } from "../support/programs.js";

const LIBRARY = `
  probe syscall_any.open = syscall.open { name = "open"; flags = int_arg(2); argstr = sprintf("%d", flags) }
  probe syscall_any.close = syscall.close { name = "close"; fd = int_arg(1) }
  probe plain.open = syscall.open {}
  probe pair = syscall_any.open, syscall_any.close {}`;

function list(pattern: string, variables: boolean): readonly string[] {
  using files = new StaticPoints({ target: undefined, resolve: (path) => resolveProgram(path, "/usr/bin") });
  const options = {
    name: "<input>",
    text: "",
    arguments: [],
    limits: parseDefinitions([]),
    globals: new Map<string, string>(),
    library: [{ name: "tapset/x.stp", text: LIBRARY }],
  };
  return listPoints(pattern, options, { codes: () => undefined }, files, variables);
}

test("-l lists the aliases that a pattern names, -L with the variables that each sets", () => {
  assert.deepEqual(list("syscall_any.*", false), ["syscall_any.open", "syscall_any.close"]);
  assert.deepEqual(list("syscall_any.*", true), [
    "syscall_any.open name:string flags:long argstr:string",
    "syscall_any.close name:string fd:long",
  ]);
  assert.deepEqual(list("plain.open.return", true), ["plain.open.return"]);
  assert.deepEqual(list("pair", true), ["pair name:string flags:long argstr:string fd:long"]);
});

test("points that are no aliases are listed as they match, several with commas", () => {
  assert.deepEqual(list("begin, timer.s(1), syscall.op*n, syscall.close.return", true), [
    "begin",
    "timer.s(1)",
    "syscall.open",
    "syscall.close.return",
  ]);
  assert.throws(() => list("nosuch.point", true), /no component "nosuch" here/);
});

test(
  "-l spells out functions of programs and libraries; where nothing matches the status is 1",
  needs("perl"),
  () => {
    const functions = trapline("-l", 'process("perl").function("Perl_pp_jo*")');
    assert.match(functions.stdout, /^process\("\/.*"\)\.function\("Perl_pp_join"\)\n$/);
    const library = trapline("-L", 'process("perl").library("libc.so.*").function("put[s]").return');
    assert.match(library.stdout, /^process\("\/.*"\)\.library\("\/.*"\)\.function\("puts"\)\.return\n$/);
    const begin = trapline("-l", 'process("perl").begin').stdout;
    assert.match(begin, /^process\("\/.*perl.*"\)\.begin\n$/);
    const none = trapline("-l", 'process("perl").function("nosuch*")');
    assert.deepEqual([none.stdout, none.status], ["", 1]);
  },
);
