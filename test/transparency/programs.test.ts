// A few of the programs of `npm run transparency:full`, others each time: the seed is printed.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { PROGRAMS } from "./programs.js";
import { compare, describe } from "./real.js";

const CHOSEN = 2;

test(
  "real programs, every function of theirs and of their libraries counted, do as they do bare",
  needs("perl", "g++"),
  async (t) => {
    const seed = Number(process.env["TRAPLINE_SEED"] ?? randomInt(2 ** 31));
    t.diagnostic(`TRAPLINE_SEED=${String(seed)}`);
    const waiting = PROGRAMS.filter((program) => program.quick === true);
    let state = seed;
    let compared = 0;
    while (compared < CHOSEN && waiting.length > 0) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      const [program] = waiting.splice((state >>> 8) % waiting.length, 1);
      assert.ok(program !== undefined);
      const outcome = await compare(program);
      t.diagnostic(describe(outcome));
      if (outcome.kind === "left out") continue;
      assert.equal(outcome.kind, "ok", `${describe(outcome)}; repeat with TRAPLINE_SEED=${String(seed)}`);
      compared++;
    }
    assert.equal(compared, CHOSEN, "so many were there");
  },
);
