// Types that Debian's kernel describes, all of them, as dwarves' own reader sees them; and types by hand.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TargetError } from "../../../src/base/errors.js";
import { BtfTypes } from "../../../src/symbols/btf/types.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import { payloadOf } from "../../../src/symbols/kernel/payload/boot-image.js";
import { unpackPayload } from "../../../src/symbols/kernel/payload/unpack.js";
import { findMember, placeIn, placeOf, sizeOf } from "../../../src/symbols/types/members.js";
import { resolved, type Type } from "../../../src/symbols/types/type.js";
import { needs } from "../../support/needs.js";
import { temporaryFolder } from "../build-programs.js";
import { debianKernel } from "../kernel/debian-kernel.js";
import { BtfWriter } from "./write-btf.js";

const path = await debianKernel();
const kernel = KernelImage.open(path);
const vmlinux = join(temporaryFolder(), "vmlinux");
writeFileSync(vmlinux, unpackPayload(payloadOf(readFileSync(path), path), path));

const DWARVES = needs("dwarves");

function lines(program: string, ...words: readonly string[]): string[] {
  const text = execFileSync(program, [...words, vmlinux], {
    encoding: "utf8",
    maxBuffer: 2 ** 30,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return text.split("\n");
}

function types(): BtfTypes {
  const found = kernel.btf;
  assert.ok(found !== undefined);
  return found;
}

test("every struct of the kernel has the size that pahole sees", DWARVES, () => {
  const told = lines("pahole", "-F", "btf", "--sizes").map((line) => line.split("\t"));
  const names = new Map<string, number>();
  for (const [name = ""] of told) names.set(name, (names.get(name) ?? 0) + 1);
  let compared = 0;
  for (const [name = "", size] of told) {
    // Of several with one name, pahole shows them all; which one is meant, nobody can say.
    if (name === "" || names.get(name) !== 1) continue;
    const struct = types().named("struct", name) ?? types().named("union", name);
    assert.equal(struct && sizeOf(struct), Number(size), name);
    compared += 1;
  }
  assert.ok(compared > 6000, String(compared));
});

test("every member of every struct lies where pahole sees it, to the bit", DWARVES, () => {
  let struct = "";
  const seen = new Set<string>();
  let compared = 0;
  for (const line of lines("pahole", "-F", "btf")) {
    const begin = /^struct (\w+) \{$/.exec(line);
    if (begin !== null) {
      struct = seen.has(begin[1] ?? "") ? "" : (begin[1] ?? "");
      seen.add(struct);
    } else if (/^[a-z}]/.test(line)) struct = "";
    const place =
      /^\t[^\t}].*?\b(\w+)(?:\[\w*\])*(?::\d+)?(?: +__attribute__\S+)?; +\/\* +(\d+)(?:: ?(\d+))? +\d+ \*\/$/.exec(
        line,
      );
    const type = struct === "" ? undefined : types().named("struct", struct);
    if (place === null || type?.kind !== "struct") continue;
    const [, name = "", bytes, bit] = place;
    const member = findMember(type, name);
    assert.equal(member?.bitOffset, 8 * Number(bytes) + Number(bit ?? 0), `${struct}.${name}`);
    assert.equal(member.bitSize !== undefined, bit !== undefined, `${struct}.${name}`);
    compared += 1;
  }
  assert.ok(compared > 40_000, String(compared));
});

test("every function has the parameters that pfunct sees", DWARVES, () => {
  const told = lines("pfunct", "-F", "btf", "-P");
  const times = new Map<string, number>();
  const PATTERN = /^[^(]*?\b(\w+)\(/;
  for (const line of told) {
    const name = PATTERN.exec(line)?.[1] ?? "";
    times.set(name, (times.get(name) ?? 0) + 1);
  }
  let compared = 0;
  for (const line of told) {
    const name = PATTERN.exec(line)?.[1] ?? "";
    const list = /^[^(]*\(([^()]*)\);/.exec(line)?.[1];
    // Of several with one name nobody can say which is meant; no pattern takes pointers to functions apart.
    if (name === "" || list === undefined || times.get(name) !== 1) continue;
    const prototype = kernel.prototype(name);
    assert.ok(prototype !== undefined, name);
    const shown = list === "void" ? [] : list.split(", ").filter((one) => one !== "...");
    const names = shown.map((one) => /(\w+)(?:\[\w*\])*$/.exec(one)?.[1] ?? "");
    assert.deepEqual(
      prototype.parameters.map((one) => one.name),
      names,
      line,
    );
    assert.equal(prototype.variadic, list.endsWith("..."), line);
    assert.deepEqual(
      prototype.parameters.map(({ type }) => resolved(type).kind === "pointer"),
      shown.map(
        (one, index) =>
          one.includes("*") || resolved(prototype.parameters[index]?.type ?? VOID).kind === "pointer",
      ),
      line,
    );
    compared += 1;
  }
  assert.ok(compared > 25_000, String(compared));
});

const VOID: Type = { kind: "void" };

test("a member within anonymous structs is found with its whole offset", () => {
  const page = types().named("struct", "page");
  assert.ok(page?.kind === "struct");
  const mapping = findMember(page, "mapping");
  assert.equal(mapping?.bitOffset, 8 * (placeOf(types(), "page", "mapping")?.offset ?? -1));
  assert.ok(!page.members.some(({ name }) => name === "mapping"));
  assert.equal(findMember(page, "no_such_member"), undefined);
  assert.equal(
    kernel.offsetOf("task_struct", "se.vruntime"),
    kernel.offsetOf("task_struct", "se") + kernel.offsetOf("sched_entity", "vruntime"),
  );
});

test("per-CPU variables have their place and their type", () => {
  const current = kernel.variable("current_task");
  assert.ok(current?.perCpu === true && current.type.kind === "pointer");
  assert.equal(current.type.to, types().named("struct", "task_struct"));
  assert.equal(current.vaddr, kernel.symbol("current_task"));
  assert.equal(kernel.variable("no_such_variable"), undefined);
});

function parse(write: (btf: BtfWriter) => void, base?: BtfTypes): BtfTypes {
  const table = base?.table;
  const btf = new BtfWriter(table?.end, table?.stringsEnd);
  write(btf);
  return BtfTypes.parse(btf.bytes(), "by hand", base);
}

test("every kind of type is known", () => {
  const all = parse((btf) => {
    const int = btf.integer("int", 4, 1); // 1
    btf.integer("char", 1); // 2
    btf.integer("_Bool", 1, 4); // 3
    btf.type(16, "double", 8); // 4
    btf.type(6, "small", 4, {
      count: 2,
      flag: true,
      rest: [btf.string("MINUS"), 0xffff_ffff, btf.string("ONE"), 1],
    }); // 5
    btf.type(19, "large", 8, { count: 1, rest: [btf.string("BIG"), 1, 0x8000_0000] }); // 6
    btf.type(19, "negative", 8, { count: 1, flag: true, rest: [btf.string("LEAST"), 0, 0x8000_0000] }); // 7
    btf.type(7, "hidden", 0); // 8
    btf.type(7, "hidden_union", 0, { flag: true }); // 9
    const tag = btf.type(18, "user", int); // 10
    btf.pointer(tag); // 11
    btf.type(17, "a note", 1, { rest: [0xffff_ffff] }); // 12
    btf.type(8, "number_t", btf.type(10, "", btf.type(9, "", btf.type(11, "", int)))); // 13 … 16
    btf.prototype(0, [
      ["format", 11],
      ["", 0],
    ]); // 17
    btf.type(12, "print", 17, { count: 1 }); // 18
    btf.array(1, 0); // 19
    btf.composite("union", "either", 8, [
      ["whole", 1, 0],
      ["parts", 19, 0],
    ]); // 20
  });
  const kinds = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20].map(
    (id) => resolved(all.type(id)).kind,
  );
  assert.deepEqual(kinds, [
    "integer", "integer", "integer", "float", "enum", "enum", "struct", "union",
    "integer", "pointer", "integer", "integer", "function", "function", "array", "union",
  ]); // prettier-ignore
  assert.deepEqual(all.type(1), { kind: "integer", name: "int", size: 4, signed: true, encoding: "number" });
  assert.deepEqual(
    [2, 3].map((id) => {
      const type = all.type(id);
      return type.kind === "integer" ? type.encoding : "";
    }),
    ["char", "bool"],
  );
  const values = (id: number) => {
    const type = all.type(id);
    return type.kind === "enum" ? type.values.map(({ name, value }) => [name, value]) : [];
  };
  assert.deepEqual(values(5), [
    ["MINUS", -1n],
    ["ONE", 1n],
  ]);
  assert.deepEqual(values(6), [["BIG", 0x8000_0000_0000_0001n]]);
  assert.deepEqual(values(7), [["LEAST", -(2n ** 63n)]]);
  assert.equal(sizeOf(all.type(8)), undefined);
  const number = all.named("alias", "number_t");
  assert.equal(number?.kind, "alias");
  assert.equal(number.of.kind, "const");
  const print = all.prototype("print");
  assert.deepEqual([print?.parameters.map(({ name }) => name), print?.variadic], [["format"], true]);
  assert.equal(sizeOf(all.type(19)), 0);
});

test("bit fields have their width, whether the struct says it or an old integer type", () => {
  const all = parse((btf) => {
    const int = btf.integer("int", 4, 1);
    const three = btf.integer("int", 4, 1, 3);
    btf.composite("struct", "new", 4, [
      ["a", int, 0, 3],
      ["b", int, 3, 29],
    ]);
    btf.composite("struct", "old", 8, [
      ["a", three, 5],
      ["b", int, 32],
    ]);
  });
  const fields = (name: string) => {
    const type = all.named("struct", name);
    return type?.kind === "struct" ? type.members.map(({ bitOffset, bitSize }) => [bitOffset, bitSize]) : [];
  };
  assert.deepEqual(fields("new"), [
    [0, 3],
    [3, 29],
  ]);
  assert.deepEqual(fields("old"), [
    [5, 3],
    [32, undefined],
  ]);
  const old = all.named("struct", "old");
  assert.ok(old !== undefined);
  assert.equal(placeIn(old, "b")?.offset, 4);
  assert.throws(() => placeIn(old, "a"), TargetError);
});

test("a module's types go on where the kernel's end", () => {
  const base = parse((btf) => {
    btf.integer("int", 4, 1);
    btf.composite("struct", "shared", 4, [["x", 1, 0]]);
  });
  const module = parse((btf) => {
    const own = btf.composite("struct", "own", 8, [
      ["first", 2, 0],
      ["second", 1, 32],
    ]);
    btf.type(7, "shared", 0);
    btf.type(12, "of_module", btf.prototype(own, []), { count: 1 });
  }, base);
  const own = module.named("struct", "own");
  assert.ok(own?.kind === "struct");
  assert.deepEqual(
    own.members.map(({ name }) => name),
    ["first", "second"],
  );
  assert.equal(own.members[0]?.type, base.named("struct", "shared"));
  // A mere declaration does not hide what the kernel knows.
  assert.equal(module.named("struct", "shared"), base.named("struct", "shared"));
  assert.equal(module.prototype("of_module")?.returns, own);
  assert.equal(base.named("struct", "own"), undefined);
});

test("types that go round in circles, hold themselves or lead nowhere end all the same", () => {
  const all = parse((btf) => {
    btf.type(8, "round", 2); // 1
    btf.type(10, "", 1); // 2
    btf.array(3, 2); // 3
    btf.composite("struct", "itself", 8, [
      ["", 4, 0],
      ["", 4, 0],
      ["last", 1, 0],
    ]); // 4
    btf.pointer(99); // 5
    btf.type(8, "alone", 6); // 6
    btf.integer("odd", 3); // 7
  });
  assert.equal(resolved(all.type(1)).kind, "void");
  assert.equal(resolved(all.type(6)).kind, "void");
  assert.equal(sizeOf(all.type(3)), undefined);
  const itself = all.type(4);
  assert.ok(itself.kind === "struct");
  assert.equal(findMember(itself, "nothing"), undefined);
  assert.equal(findMember(itself, "last")?.bitOffset, 0);
  const nowhere = all.type(5);
  assert.ok(nowhere.kind === "pointer");
  assert.equal(nowhere.to.kind, "void");
  assert.equal(all.type(7).kind, "void");
});
