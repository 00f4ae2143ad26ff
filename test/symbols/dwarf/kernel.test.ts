import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { typeText } from "../../../src/script/context/type-text.js";
import { Sources } from "../../../src/script/errors.js";
import { kernelSource } from "../../../src/session/kernel/code-source.js";
import { KernelCodes } from "../../../src/session/kernel/codes.js";
import { KernelPoints } from "../../../src/session/kernel/listing.js";
import type { KernelView } from "../../../src/session/kernel/view.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import type { Vaddr } from "../../../src/symbols/vaddr.js";
import { bytes } from "../../script/types.js";
import { problemOf, type Registers, run, type RunOptions } from "../../script/run.js";
import { needs } from "../../support/needs.js";
import { temporaryFolder } from "../build-programs.js";
import { buildKernel } from "./build-kernel.js";

const folder = temporaryFolder();

function built(...flags: readonly string[]): { vmlinux: string; bzImage: string } {
  return buildKernel(mkdtempSync(join(folder, "kernel-")), ...flags);
}

test(
  "a kernel without BTF has types, prototypes and variables from its debug information",
  needs("gcc"),
  () => {
    using image = KernelImage.open(built().vmlinux);
    assert.equal(image.btf, undefined);
    assert.equal(image.release, "6.1.0-made");
    assert.equal(image.offsetOf("task", "tasks.next"), 16);
    assert.equal(image.placeOf("task", "comm")?.offset, 24);
    const work = image.prototype("work");
    assert.equal(work && typeText(work), "long int (struct task*, int, long unsigned int)");
    const first = image.variable("first_task");
    assert.ok(first !== undefined);
    assert.deepEqual(
      [first.vaddr, typeText(first.type), first.perCpu],
      [image.symbol("first_task"), "struct task", false],
    );
    const each = image.variable("current_made");
    assert.ok(each !== undefined);
    assert.deepEqual([each.vaddr, typeText(each.type), each.perCpu], [0, "struct task*", true]);
    // Assembly made it: debug information has its type only.
    const elsewhere = image.variable("elsewhere");
    assert.ok(elsewhere !== undefined);
    assert.deepEqual([elsewhere.vaddr, typeText(elsewhere.type)], [image.symbol("elsewhere"), "long int[]"]);
    assert.equal(image.variable("nobody"), undefined);
  },
);

test("of two variables of one name, that of the code's own file is meant", needs("gcc"), () => {
  using image = KernelImage.open(built().vmlinux);
  const near = (name: string): string =>
    typeText(image.variable("limit", image.symbol(name))?.type ?? { kind: "void" });
  assert.equal(near("work"), "int");
  assert.equal(near("limited"), "long int");
  assert.equal(image.variable("fixed", image.symbol("work")), undefined, "it was optimised out there");
  assert.ok(image.variable("fixed", image.symbol("limited")) !== undefined);
});

/** What a script sees of the made kernel where its registers and its memory are these. */
function optionsOf(image: KernelImage, registers: Registers): RunOptions {
  const view: KernelView = { kernel: kernelSource(image), modules: () => undefined, slide: () => undefined };
  return {
    codes: new KernelCodes(view, new Sources()),
    registers,
    memory: MEMORY,
    scene: { variableAddress: (_hit, _image, address) => address },
  };
}

const TASK = 0x1000;
const MEMORY = { [TASK]: `${bytes([41n, 4], [0n, 4], [7n, 8], [0n, 8])}a task\0\0\0\0\0\0\0\0\0\0` };

/** Where a label of the made kernel is in its function. */
function offsetIn(image: KernelImage, name: string, label: string): string {
  return `${name}+0x${((image.symbol(label) ?? 0) - (image.symbol(name) ?? 0)).toString(16)}`;
}

test(
  "scripts read variables inside of functions, where debug information says that they are",
  needs("gcc"),
  () => {
    using image = KernelImage.open(built().vmlinux);
    const at = offsetIn(image, "work", "inside_work");
    const vaddr = image.symbol("inside_work") as Vaddr;
    const registers = registersFor(image, vaddr, { task: BigInt(TASK), local: 123n, count: 5n });
    const body = `printf("%d %d %d %s", $local, $count, $task->pid, kernel_string($task->comm))`;
    const { output } = run(`probe kernel.statement("${at}") { ${body} }`, optionsOf(image, registers));
    assert.equal(output, "123 5 41 a task");
    const list = run(`probe kernel.statement("${at}") { print($$parms) }`, optionsOf(image, registers));
    assert.match(list.output, /^task=0x1000 count=0x5 flags=/);
  },
);

test("variables of functions that were put into this one are found, theirs first", needs("gcc"), () => {
  using image = KernelImage.open(built().vmlinux);
  const at = offsetIn(image, "work", "inside_within");
  const vaddr = image.symbol("inside_within") as Vaddr;
  const registers = registersFor(image, vaddr, { product: 77n, local: 11n });
  const script = `probe kernel.statement("${at}") { printf("%d %d", $product, $local) }`;
  assert.equal(run(script, optionsOf(image, registers)).output, "77 11");
  const owners = image.variablesAt(vaddr)?.map((local) => local.function);
  assert.deepEqual(new Set(owners), new Set(["within", "work"]));
});

test(
  "a variable that is nowhere at a place is refused with the reason, and with those that are there",
  needs("gcc"),
  () => {
    using image = KernelImage.open(built().vmlinux);
    const at = offsetIn(image, "work", "inside_within");
    const options = optionsOf(image, {});
    const gone = problemOf(`probe kernel.statement("${at}") { print($flags) }`, options);
    assert.match(gone, /'\$flags' of work is not available there: .* \(available there: .*\$product/);
    const unknown = problemOf(`probe kernel.statement("${at}") { print($prodct) }`, options);
    assert.match(unknown, /unable to find local 'prodct' in work \(alternatives: \$product/);
    assert.equal(run(`probe kernel.statement("${at}") { print(@defined($flags)) }`, options).output, "0");
  },
);

test("parameters at a function's entry are where the compiler has put them", needs("gcc"), () => {
  using image = KernelImage.open(built().vmlinux);
  const registers = { rdi: BigInt(TASK), rsi: 3n, rdx: 9n };
  const script = `probe kernel.function("work") { printf("%d %d %d", $task->pid, $count, $flags) }`;
  assert.equal(run(script, optionsOf(image, registers)).output, "41 3 9");
});

test(
  "of a copy that the compiler made of a function, parameters are where that copy has them",
  needs("gcc"),
  () => {
    using image = KernelImage.open(built().vmlinux);
    const [copy, ...others] = image.functions("copied.*");
    assert.ok(copy !== undefined && others.length === 0, "the compiler has made one copy");
    // By the calling convention of the source, flags were in rcx.
    const options = optionsOf(image, { rdi: BigInt(TASK), rsi: 9n, rdx: 77n, rcx: 88n });
    const script = `probe kernel.function("copied.*") { printf("%d %d %d", $task->pid, $count, $flags) }`;
    assert.equal(run(script, options).output, "41 2 9");
    const returns = `probe kernel.function("copied.*").return { printf("%d %d %d", $return, $count, $flags) }`;
    assert.equal(run(returns, { ...options, returns: { rax: 43n, rsi: 1n } }).output, "43 2 9");
    assert.match(
      problemOf(`probe kernel.function("copied.*") { println($unused) }`, options),
      /'\$unused' of copied is not available there: .*available there: \$task, \$flags, \$count/,
    );
  },
);

test("-L tells the variables of a place inside of a function", needs("gcc"), () => {
  using image = KernelImage.open(built().vmlinux);
  const view: KernelView = { kernel: kernelSource(image), modules: () => undefined, slide: () => undefined };
  using points = new KernelPoints(view);
  const offset = (image.symbol("inside_work") ?? 0) - (image.symbol("work") ?? 0);
  const [found] = points.matchesOf(
    { kind: "offset", program: { kind: "kernel" }, library: undefined, functions: "work", offset },
    "",
  );
  const variables = found?.variables ?? [];
  assert.ok(variables.includes("$local:long int"), variables.join(" "));
  assert.ok(variables.includes("$task:struct task*"));
});

test(
  "the debug information of a boot image is found in the tree that it was built in, if it is of that very build",
  needs("gcc"),
  () => {
    const { bzImage, vmlinux } = built();
    using image = KernelImage.open(bzImage);
    assert.equal(image.offsetOf("task", "comm"), 24);
    assert.ok(image.variablesAt(image.symbol("inside_work") as Vaddr)?.some(({ name }) => name === "local"));
    // Another build lies there now.
    const other = built("-DOTHER=1", "-fno-inline-small-functions", "-O1");
    assert.notEqual(other.vmlinux, vmlinux);
    using stranger = KernelImage.open(bzImageBeside(bzImage, other.vmlinux));
    assert.equal(stranger.types, undefined);
    assert.throws(() => stranger.offsetOf("task", "comm"), /has no type information/);
  },
);

/** A boot image in a tree whose vmlinux is another build's. */
function bzImageBeside(bzImage: string, vmlinux: string): string {
  const tree = mkdtempSync(join(folder, "mixed-"));
  mkdirSync(join(tree, "arch/x86/boot"), { recursive: true });
  copyFileSync(vmlinux, join(tree, "vmlinux"));
  const copy = join(tree, "arch/x86/boot/bzImage");
  copyFileSync(bzImage, copy);
  return copy;
}

/** Registers with these values where the variables are in registers at a place. */
function registersFor(image: KernelImage, vaddr: Vaddr, values: Readonly<Record<string, bigint>>): Registers {
  const registers: Registers = {};
  for (const [name, value] of Object.entries(values)) {
    const local = image.variablesAt(vaddr)?.find((each) => each.name === name);
    assert.ok(local?.location.kind === "value" && local.location.value.kind === "register", name);
    registers[local.location.value.register] = value;
  }
  return registers;
}
