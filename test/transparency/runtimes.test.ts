// Runtimes with stacks and signals of their own are as bare, every function of theirs and of their libraries counted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { compare, describe } from "./real.js";
import { RUNTIMES } from "./runtimes.js";

const PACKAGES = { greenlet: "python3-greenlet", erlang: "erlang-base" } as const;

for (const [name, what] of [
  ["greenlet", "python's greenlets, in threads and under a timer's signals, do as they do bare"],
  ["erlang", "erlang's processes, machine code made at run time and a child do as they do bare"],
] as const)
  test(what, needs(PACKAGES[name]), async (t) => {
    const program = RUNTIMES.find((each) => each.name === name);
    assert.ok(program !== undefined);
    const outcome = await compare(program);
    t.diagnostic(describe(outcome));
    assert.equal(outcome.kind, "ok", describe(outcome));
  });
