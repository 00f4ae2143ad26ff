import assert from "node:assert/strict";
import { test } from "node:test";
import { Dwarf } from "../../../src/symbols/dwarf/dwarf.js";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import type { LocalVariable } from "../../../src/symbols/types/location.js";
import type { Vaddr } from "../../../src/symbols/vaddr.js";
import { code, codes } from "../../script/types.js";
import { run } from "../../script/run.js";
import { needs } from "../../support/needs.js";
import { BUILDS, builtBy, clangBuiltIn } from "./builds.js";
import { CLANG_BUILDS } from "./clang-programs.js";
import { type Step, stepsOf } from "./stepped.js";
import { temporaryFolder } from "../build-programs.js";

const folder = temporaryFolder();

/** Reasons that a debugger has a way around: it goes to the caller, or shows the variable that is pointed to. */
const BEYOND_US = /when the function was entered|points to a variable|only the caller knows/;

for (const [name, flags] of Object.entries(BUILDS))
  test(`at each instruction, variables hold what gdb says: ${name}`, needs("gcc", "gdb"), (t) => {
    t.diagnostic(compared(builtBy(folder, name, flags)));
  });

for (const name of CLANG_BUILDS)
  test(`at each instruction, variables hold what gdb says: ${name}`, needs("gdb"), (t) => {
    t.diagnostic(compared(clangBuiltIn(folder, name)));
  });

/** @returns what was compared */
function compared(program: string): string {
  using elf = ElfImage.open(program, { debugRoots: [] });
  const dwarf = Dwarf.of(elf);
  assert.ok(dwarf !== undefined);
  const seen = new Set<string>();
  const counts = { places: 0, values: 0, inMemory: 0, inPieces: 0, nowhere: 0, beyond: 0 };
  for (const step of stepsOf(program)) {
    const pc = Number(step.registers.rip) as Vaddr;
    const all: readonly LocalVariable[] = dwarf.variablesAt(pc) ?? [];
    const named = (list: readonly { readonly function: string; readonly name: string }[]): string[] =>
      [...new Set(list.map((each) => `${each.function}: ${each.name}`))].sort();
    assert.deepEqual(named(all), named(step.variables), `variables at 0x${pc.toString(16)}`);
    // The same place once more in a loop says nothing new of most.
    const key = `${String(pc)} ${String(seen.size % 3)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    counts.places += 1;
    compareStep(step, all, pc, dwarf, counts);
  }
  assert.ok(counts.places > 100 && counts.values > 500, JSON.stringify(counts));
  return JSON.stringify(counts);
}

type Counts = Record<"places" | "values" | "inMemory" | "inPieces" | "nowhere" | "beyond", number>;

function compareStep(
  step: Step,
  all: readonly LocalVariable[],
  pc: Vaddr,
  dwarf: Dwarf,
  counts: Counts,
): void {
  const names = new Set<string>();
  const wanted: {
    readonly path: string;
    readonly value: bigint | undefined;
    readonly local: LocalVariable;
  }[] = [];
  step.variables.forEach(({ name, values, function: owner }) => {
    const local = all.find((each) => each.name === name);
    if (names.has(name) || local === undefined) return;
    names.add(name);
    assert.equal(local.function, owner, `whose $${name} is meant at 0x${pc.toString(16)}`);
    for (const [path, value] of values) wanted.push({ path, value, local });
  });
  const place = code("f", undefined, { at: "inside", types: dwarf.types, locals: { image: "it", all } });
  const reads = wanted.map(
    ({ path }) => `if (@defined($${path})) println($${path}); else println("nowhere")`,
  );
  const { output, outcomes } = run(`probe kernel.function("f") { ${reads.join(" ")} }`, {
    codes: codes(place),
    memory: step.memory,
    registers: step.registers,
    scene: { variableAddress: (_hit, _image, address) => address },
  });
  const where = `at 0x${pc.toString(16)}`;
  for (const outcome of outcomes)
    assert.equal(outcome.kind, "returned", `${where}: ${JSON.stringify(outcome)}`);
  output
    .trimEnd()
    .split("\n")
    .forEach((line, index) => {
      const { path, value, local } = wanted[index] ?? assert.fail(where);
      const { location } = local;
      const said = `$${path} of ${local.function} ${where}`;
      if (line === "nowhere") {
        const why = location.kind === "absent" ? location.why : "a part of it is nowhere";
        if (value === undefined) counts.nowhere += 1;
        else if (BEYOND_US.test(why) || location.kind === "pieces") counts.beyond += 1;
        else assert.fail(`${said} is nowhere (${why}), and gdb says ${String(value)}`);
        return;
      }
      assert.ok(value !== undefined, `${said} is ${line}, and gdb says that it is optimised out`);
      assert.equal(BigInt(line), BigInt.asIntN(64, value), said);
      counts.values += 1;
      if (location.kind === "memory") counts.inMemory += 1;
      if (location.kind === "pieces") counts.inPieces += 1;
    });
}
