// Kernels of our own, in every layout that a build of Linux has had since 6.1.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressOf } from "../../../src/base/address.js";
import { TargetError } from "../../../src/base/errors.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import { unwindStep } from "../../../src/symbols/kernel/unwind.js";
import type { Vaddr } from "../../../src/symbols/vaddr.js";
import { BANNER, functionAt, FUNCTIONS, type KernelShape, makeKernel, SHAPE, TEXT } from "./make-kernel.js";

const LAYOUTS: Readonly<Record<string, Partial<KernelShape>>> = {
  "6.1's": {},
  "6.1's without per-CPU symbols": { layout: { offsets: "before", sequence: "none", perCpu: false } },
  "6.2's": { layout: { offsets: "before", sequence: "markers", perCpu: true }, orc: "6.3" },
  "6.4's": { layout: { offsets: "behind", sequence: "end", perCpu: true }, orc: "6.4" },
  "6.15's": { layout: { offsets: "behind", sequence: "end", perCpu: false }, orc: "6.4" },
  "7.0's": {
    layout: { offsets: "behind", sequence: "end", perCpu: false, fromThemselves: true },
    orc: "6.4",
  },
  "6.1's without section headers": { sections: false },
  "6.4's without section headers": {
    layout: { offsets: "behind", sequence: "end", perCpu: true },
    orc: "6.4",
    sections: false,
  },
  "that of a vmlinux with a symbol table": { symtab: true },
  "that of a vmlinux with nothing but a symbol table": { symtab: true, hasKallsyms: false },
};

function made(change: Partial<KernelShape>): KernelImage {
  return KernelImage.fromBytes(makeKernel({ ...SHAPE, ...change }), "made");
}

for (const [name, change] of Object.entries(LAYOUTS))
  test(`a kernel whose tables have a layout like ${name} is read wholly`, () => {
    using image = made(change);
    assert.equal(image.release, "6.9.0-made");
    assert.equal(image.banner, BANNER.trimEnd());
    const symbols = [...image.symbols()];
    const perCpu = change.layout?.perCpu ?? true;
    assert.equal(symbols.filter(({ name: one }) => one === "counter_of_each").length, perCpu ? 1 : 0);
    for (let index = 0; index < FUNCTIONS; index += 1)
      assert.equal(image.symbol(`made_${String(index)}`), functionAt(index), String(index));
    assert.equal(image.symbol("no_such"), undefined);
    assert.deepEqual(image.symbolAt((functionAt(7) + 3) as Vaddr), {
      name: "made_7",
      start: functionAt(7),
      offset: 3,
      size: 32,
    });
    assert.equal(image.symbolAt((TEXT - 1) as Vaddr), undefined);

    assert.deepEqual(image.functions("made_5"), [
      { name: "made_5", vaddr: functionAt(5), size: 32, exported: true },
    ]);
    assert.equal(image.functions("made_5[0-9]").length, 10);
    // Aliases are one; clones are found by the name in the source; parts only by their own.
    assert.deepEqual(
      image.functions("made_0*").map((one) => one.name),
      ["made_0"],
    );
    assert.deepEqual(
      image.functions("made_20").map((one) => one.vaddr),
      [functionAt(20), functionAt(320) + 16],
    );
    assert.equal(
      image.functions("made_21*").some((one) => one.name.endsWith(".cold")),
      false,
    );
    assert.equal(image.functions("made_21.cold").length, 1);
    assert.equal(image.functions("long_*")[0]?.name, `long_${"name_".repeat(40)}`);
    assert.equal(image.functions("_stext").length, 0);

    assert.equal(image.fixup(functionAt(3) as Vaddr), functionAt(4));
    assert.equal(image.fixup(functionAt(4) as Vaddr), undefined);
    assert.equal(image.forbidden(functionAt(7) as Vaddr), "patched-text");
    assert.equal(image.forbidden((functionAt(8) + 5) as Vaddr), "kprobe-blacklist");
    assert.equal(image.forbidden(functionAt(9) as Vaddr), undefined);
    assert.equal(image.forbidden((functionAt(9) + 6) as Vaddr), "padding");
    assert.equal(image.forbidden(functionAt(11) as Vaddr), "noinstr-text");
    assert.equal(image.forbidden(0 as Vaddr), "not-code");

    assert.deepEqual(
      image.prototype("made_1")?.parameters.map((one) => one.name),
      ["node", "size"],
    );
    assert.equal(image.offsetOf("node", "name"), 16);
    const counter = image.variable("counter_of_each");
    assert.equal(counter?.perCpu, true);
    assert.equal(counter.vaddr, 0x40);
    assert.equal(image.unwind?.count, 5);
    const kinds = [0, 0x100, 0x120, 0x140, 0x160, 0x2000].map(
      (offset) => image.unwind?.at((TEXT + offset) as Vaddr)?.kind,
    );
    assert.deepEqual(kinds, ["end", "call", "call", "call", "registers", "registers"]);
    assert.equal(image.unwind.at((TEXT - 1) as Vaddr), undefined);
  });

test("what a kernel was built without is said with what to build it with", () => {
  using image = made({ hasKallsyms: false });
  assert.throws(
    () => image.symbol("vfs_read"),
    (error) =>
      error instanceof TargetError &&
      error.message === "made has no symbols" &&
      (error.remedy ?? "").includes("CONFIG_KALLSYMS"),
  );
  assert.throws(() => made({}).offsetOf("node", "nothing"), /made knows no nothing of struct node/);
  assert.throws(() => made({}).offsetOf("node", "flag"), /flag is a bit field/);
});

/** A stack in memory: 64-bit words from an address on. */
function stackOf(at: number, words: readonly number[]): (from: Address) => bigint | undefined {
  return (from) => {
    const word = words[(from - at) / 8];
    return word === undefined ? undefined : BigInt.asUintN(64, BigInt(word));
  };
}

test("frames are left by calls and interrupts, and where a stack ends is said why", () => {
  using image = made({});
  const stack = -0x1000_0000;
  const entryAt = (pc: Address) => image.unwind?.at(pc as number as Vaddr);
  const at = (index: number): Address => (functionAt(index) + 8) as Address;
  const frame = (index: number, interrupted = false) =>
    ({ pc: at(index), sp: stack as Address, bp: 0x55n, interrupted }) as const;

  const called = unwindStep(frame(1), { entryAt, word: stackOf(stack, [0x77, at(3)]) });
  assert.deepEqual(called, {
    kind: "frame",
    // The base pointer lies where the entry says, 16 bytes below the caller's stack.
    frame: { pc: at(3), sp: stack + 16, bp: 0x77n, interrupted: false },
  });

  const saved = Array.from({ length: 21 }, (_, index) => index);
  saved[16] = at(0);
  saved[17] = 0x10;
  saved[19] = stack + 0x800;
  const interrupted = unwindStep(frame(3, true), { entryAt, word: stackOf(stack, saved) });
  assert.deepEqual(interrupted, {
    kind: "frame",
    frame: {
      pc: at(0),
      sp: stack + 0x800,
      bp: 4n,
      interrupted: true,
      registers: { rdx: 12n, rdi: 14n, r10: 7n, r13: 2n },
    },
  });

  const why = (step: ReturnType<typeof unwindStep>) => (step.kind === "end" ? step.why : step.frame);
  saved[17] = 0x33;
  assert.equal(why(unwindStep(frame(3, true), { entryAt, word: stackOf(stack, saved) })), "user-mode");
  const nothing = { entryAt, word: () => undefined };
  assert.equal(why(unwindStep(frame(1), nothing)), "damaged-stack");
  assert.equal(why(unwindStep({ ...frame(1), pc: (TEXT + 1) as Address }, nothing)), "first-function");
  assert.equal(why(unwindStep({ ...frame(1), pc: 0x1000 as Address }, nothing)), "unknown-place");
  assert.equal(why(unwindStep(frame(1), { entryAt, word: stackOf(stack, [0, 0x1234]) })), "damaged-stack");
  assert.ok(addressOf(0n) === 0);
});
