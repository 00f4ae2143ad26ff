// The library for kernels against Debian's kernel: every alias has functions there and compiles, every function does.
import assert from "node:assert/strict";
import test from "node:test";
import { systemCallName } from "../../src/arch/x86_64/system-call-names.js";
import { DEFAULT_LIMITS } from "../../src/runtime/limits.js";
import type { PointNode } from "../../src/script/ast.js";
import { compile, type CompileOptions, parseScript } from "../../src/script/compile.js";
import type { ModuleTypes, ProbedCode, ProbedCodes } from "../../src/script/probed-code.js";
import { tapset } from "../../src/session/script/tapset.js";
import { KernelImage } from "../../src/symbols/kernel/image.js";
import { debianKernel } from "../symbols/kernel/debian-kernel.js";
import type { Vaddr } from "../../src/symbols/vaddr.js";

const image = KernelImage.open(await debianKernel());

/** What an image alone tells: the functions by their names. */
class ImageCodes implements ProbedCodes {
  /** Points that matched no function. */
  readonly unmatched: string[] = [];
  private readonly module: ModuleTypes;

  constructor(private readonly image: KernelImage) {
    const { types } = image;
    assert.ok(types !== undefined);
    this.module = {
      types,
      memory: "kernel",
      variable: (name) => {
        const found = image.variable(name);
        return found && { image: "kernel", address: BigInt(found.vaddr), ...found };
      },
    };
  }

  codesOf({ components }: PointNode): readonly ProbedCode[] | undefined {
    const part = components[1];
    if (part?.name !== "function" || typeof part.argument !== "string") return undefined;
    const functions = this.image.functions(part.argument);
    if (functions.length === 0) this.unmatched.push(part.argument);
    return functions.map(({ name }) => ({
      key: name,
      name,
      prototype: this.image.prototype(name),
      locals: undefined,
      at: components.at(-1)?.name === "return" ? "return" : "entry",
      ...this.module,
    }));
  }

  typesOf(): ModuleTypes {
    return this.module;
  }
}

function optionsFor(codes: ProbedCodes, text: string): CompileOptions {
  return {
    name: "test.stp",
    text,
    arguments: [],
    limits: DEFAULT_LIMITS,
    globals: new Map(),
    library: tapset({ kernel: true, asked: "probe syscall.* {}" }),
    codes,
    keepsUnused: true,
  };
}

test("every alias of a kernel's library compiles and has a function in Debian's kernel", () => {
  const codes = new ImageCodes(image);
  const { library } = parseScript(optionsFor(codes, "probe begin {}"));
  const names = library.aliases.map(({ name }) => name.join(".")).filter((name) => !name.includes("*"));
  assert.ok(names.length > 800, `${String(names.length)} aliases`);
  const { probes } = compile(optionsFor(codes, names.map((name) => `probe ${name} {}`).join("\n")));
  assert.deepEqual(codes.unmatched, []);
  const matched = new Set(probes.map(({ node }) => node.position.line));
  assert.deepEqual(
    names.filter((_, index) => !matched.has(index + 1)),
    [],
  );
  // Also the points that have no variables to look up are functions of this kernel.
  const functions = probes.flatMap(({ points }) => points.map(({ components }) => components[1]));
  const wrong = functions.filter(
    (part) => part?.name === "function" && image.functions(String(part.argument)).length === 0,
  );
  assert.deepEqual(wrong, []);
});

test("every function of a kernel's library compiles", () => {
  const codes = new ImageCodes(image);
  const { library } = parseScript(optionsFor(codes, "probe begin {}"));
  const own = library.functions.filter(({ position }) => position.file.startsWith("tapset/kernel/"));
  assert.ok(own.length > 100, `${String(own.length)} functions`);
  const calls = own.map(({ name, parameters }) => {
    const values = parameters.map(({ type }) => (type === "string" ? '""' : "1"));
    return `x_${name} = ${name}(${values.join(", ")})`;
  });
  const { program } = compile(optionsFor(codes, `probe begin { ${calls.join("\n")} }`));
  assert.deepEqual(
    own.map(({ name }) => name).filter((name) => !program.functions.some((each) => each.name === name)),
    [],
  );
});

test("every system call of the table is one of Debian's kernel, and none of its calls is missing", () => {
  const codes = new ImageCodes(image);
  const { library } = parseScript(optionsFor(codes, "probe begin {}"));
  const inTable = library.aliases.flatMap(({ points }) =>
    points.flatMap(({ components }) =>
      components[1]?.name === "syscall" && components.length === 2 ? [String(components[1].argument)] : [],
    ),
  );
  assert.deepEqual([...new Set(inTable)].sort(), callsOf(image).sort());
});

/** Linux 6.1: set_mempolicy_home_node. */
const LAST_CALL = 450;

/** Names of the calls that a kernel has, as its own table of them says. Linux arch/x86/entry/syscall_64.c. */
function callsOf(image: KernelImage): string[] {
  const table = image.symbol("sys_call_table");
  assert.ok(table !== undefined);
  return Array.from({ length: LAST_CALL + 1 }, (_, number) => number).flatMap((number) => {
    const name = systemCallName(number);
    const entry = Buffer.from(image.bytesAt((table + 8 * number) as Vaddr, 8)).readBigInt64LE();
    const missing = (image.symbolAt(Number(entry) as Vaddr)?.name ?? "").includes("sys_ni_syscall");
    return name === undefined || missing ? [] : [name];
  });
}
