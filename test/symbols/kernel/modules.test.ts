// Modules in memory of our own: both ways in which Linux has told where they are, and what damage does.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../../src/base/address.js";
import { TargetError } from "../../../src/base/errors.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import type { LiveMemory } from "../../../src/symbols/kernel/live.js";
import { loadedModules, moduleAt } from "../../../src/symbols/kernel/modules.js";
import type { LoadBias, Vaddr } from "../../../src/symbols/vaddr.js";
import { makeKernel, SHAPE } from "./make-kernel.js";
import { type MadeMemory, makeModules, MODULE_TEXT, MODULES } from "./make-modules.js";

const NO_SLIDE = 0 as LoadBias;

function memoryOf({ at, bytes }: MadeMemory): LiveMemory {
  return {
    readSome(from: Address, into: Uint8Array): number {
      const start = from - at;
      if (start < 0 || start >= bytes.length) return 0;
      return bytes.copy(into, 0, start, start + into.length);
    },
  };
}

function made(layout: "6.1" | "6.4"): { image: KernelImage; memory: MadeMemory } {
  const image = KernelImage.fromBytes(makeKernel({ ...SHAPE, orc: layout }), "made");
  const table = image.btf?.table;
  assert.ok(table !== undefined);
  return { image, memory: makeModules(layout, table) };
}

for (const layout of ["6.1", "6.4"] as const)
  test(`a module is read wholly from memory as Linux ${layout} lays it out`, () => {
    const { image, memory } = made(layout);
    const { modules, damage } = loadedModules(image, memoryOf(memory), NO_SLIDE);
    assert.equal(damage, undefined);
    const [module] = modules;
    assert.ok(module !== undefined && modules.length === 1);
    assert.equal(module.name, "made");
    assert.equal(module.base, MODULE_TEXT);
    assert.deepEqual(module.text, [{ start: MODULE_TEXT, end: MODULE_TEXT + 0x1000 }]);
    assert.deepEqual(
      [...module.symbols()].map(({ name, vaddr, type }) => [name, vaddr - MODULE_TEXT, type]),
      [
        ["made_open", 0, "t"],
        ["made_close", 0x40, "T"],
        ["made_table", 0x1008, "d"],
      ],
    );
    assert.deepEqual(module.functions("made_*"), [
      { name: "made_open", vaddr: MODULE_TEXT, size: 0x40, exported: false },
      { name: "made_close", vaddr: MODULE_TEXT + 0x40, size: 0xfc0, exported: true },
    ]);
    assert.equal(module.symbolAt((MODULE_TEXT + 0x1010) as Vaddr)?.name, "made_table");
    assert.equal(module.symbolAt((MODULE_TEXT + 0x2000) as Vaddr), undefined);
    assert.deepEqual(
      module.prototype("made_open")?.parameters.map(({ name }) => name),
      ["path"],
    );
    assert.ok(module.types.named("struct", "made_state") !== undefined);
    assert.ok(module.types.named("struct", "node") !== undefined);
    assert.equal(module.forbidden(MODULE_TEXT as Vaddr), undefined);
    assert.equal(module.forbidden((MODULE_TEXT + 0x41) as Vaddr), "kprobe-blacklist");
    assert.equal(module.forbidden((MODULE_TEXT + 0x81) as Vaddr), "noinstr-text");
    assert.equal(module.forbidden((MODULE_TEXT + 0x1008) as Vaddr), "not-code");
    assert.equal(module.fixup(MODULE_TEXT as Vaddr), undefined);
    assert.equal(module.unwind, undefined);
    assert.equal(moduleAt(image, memoryOf(memory), NO_SLIDE, module.at)?.name, "made");
  });

test("a module that is only being made, or going, is none", () => {
  const { image, memory } = made("6.1");
  const [module] = loadedModules(image, memoryOf(memory), NO_SLIDE).modules;
  assert.ok(module !== undefined);
  for (const state of [2, 3]) {
    memory.bytes.writeUInt32LE(state, module.at - memory.at);
    assert.deepEqual(loadedModules(image, memoryOf(memory), NO_SLIDE), { modules: [], damage: undefined });
  }
});

test("a list of modules that goes round or leads nowhere gives what is there, and a sentence", () => {
  const { image, memory } = made("6.1");
  const [module] = loadedModules(image, memoryOf(memory), NO_SLIDE).modules;
  assert.ok(module !== undefined);
  const link = module.at + 8 - memory.at;
  const damageOf = (next: number): string | undefined => {
    memory.bytes.writeBigInt64LE(BigInt(next), link);
    const { modules, damage } = loadedModules(image, memoryOf(memory), NO_SLIDE);
    assert.ok(modules.length >= 1);
    return damage;
  };
  assert.match(damageOf(0x10) ?? "", /^the kernel's memory cannot be read at 0x8 \(a struct module\)$/);
  assert.match(damageOf(memory.at + link) ?? "", /^the kernel's list of modules has no end$/);
  assert.equal(damageOf(MODULES), undefined);
});

test("a count that no module has is not believed", () => {
  const { image, memory } = made("6.1");
  const [module] = loadedModules(image, memoryOf(memory), NO_SLIDE).modules;
  assert.ok(module !== undefined);
  memory.bytes.writeUInt32LE(0xffff_ffff, module.at + 104 - memory.at);
  assert.equal(module.functions("made_close")[0]?.exported, true);
  const [again] = loadedModules(image, memoryOf(memory), NO_SLIDE).modules;
  assert.equal(again?.functions("made_close")[0]?.exported, false);
});

test("a kernel without symbols, and memory that cannot be read, have each their sentence", () => {
  const nothing: LiveMemory = { readSome: () => 0 };
  const { image } = made("6.1");
  const { modules, damage } = loadedModules(image, nothing, NO_SLIDE);
  assert.deepEqual(modules, []);
  assert.equal(
    damage,
    "the kernel's memory cannot be read at 0xffffffff81800000 (the kernel's list of modules)",
  );
  const bare = KernelImage.fromBytes(makeKernel({ ...SHAPE, hasKallsyms: false }), "made");
  assert.throws(() => loadedModules(bare, nothing, NO_SLIDE), TargetError);
});
