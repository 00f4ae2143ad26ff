// What images and memory say of a running kernel, compared with what that kernel says of itself.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { type Address, addressOf, toBigInt } from "../../../src/base/address.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import { type LiveMemory, LiveStruct, readLive } from "../../../src/symbols/kernel/live.js";
import type { KernelModule } from "../../../src/symbols/kernel/module.js";
import { loadedModules } from "../../../src/symbols/kernel/modules.js";
import { type KernelFrame, unwindStep, type Unwound } from "../../../src/symbols/kernel/unwind.js";
import { type LoadBias, loadedAt, unloadedFrom, type Vaddr } from "../../../src/symbols/vaddr.js";
import { GdbClient } from "../../../src/targets/gdb/protocol/client.js";
import { findSlide } from "../../../src/targets/gdb/kernel/slide.js";
import type { LabMachine } from "../../../src/targets/lab/machine.js";
import { bootedLab, NEEDS_LAB } from "../../support/lab.js";
import { debianKernel } from "./debian-kernel.js";

/** What the guest says, before it is stopped for good. */
interface Guest {
  /** SHA-256 of what /proc/kallsyms has of the kernel. */
  readonly digest: string;
  /** What it has of modules, and of `_text`. */
  readonly symbols: readonly (readonly [address: number, type: string, name: string, module: string])[];
  /** Of a process that sleeps. */
  readonly stack: readonly string[];
  readonly sleeper: number;
  readonly modules: readonly string[];
}

let machine: LabMachine | undefined;
let client: GdbClient | undefined;
let image: KernelImage;
let guest: Guest;
let memory: LiveMemory;
let slide: LoadBias;

if (NEEDS_LAB.skip === false) {
  before(async () => {
    machine = await bootedLab({ kaslr: true, modules: ["xfs"] });
    guest = await ask(machine);
    image = KernelImage.open(await debianKernel());
    const stub = GdbClient.connect(`unix:${machine.stub}`);
    client = stub;
    memory = { readSome: (at, into) => stub.readMemory(at, into) };
    slide = findSlide((at, into) => memory.readSome(at, into), image, stub.name);
  });
  after(async () => {
    client?.[Symbol.dispose]();
    image[Symbol.dispose]();
    await machine?.[Symbol.asyncDispose]();
  });
}

async function ask(lab: LabMachine): Promise<Guest> {
  const said = async (command: string): Promise<string> => {
    const { output, error, status } = await lab.run(command);
    assert.equal(status, 0, error);
    return output;
  };
  const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");
  const symbols = lines(await said("grep '\\[\\| _text$' /proc/kallsyms")).map((line) => {
    const [address = "", type = "", name = "", module = ""] = line.split(/[ \t]+/);
    return [Number(BigInt.asIntN(64, BigInt(`0x${address}`))), type, name, module.slice(1, -1)] as const;
  });
  const digest = await said("grep -v '\\[' /proc/kallsyms | sha256sum");
  const sleeper = Number(await said("sleep 10000 >/dev/null 2>&1 & echo $!; sleep 1"));
  return {
    symbols,
    digest: digest.slice(0, 64),
    sleeper,
    stack: lines(await said(`cat /proc/${String(sleeper)}/stack`)),
    modules: lines(await said("cat /proc/modules")),
  };
}

test(
  "the slide of a kernel is found, and its symbols are then those of /proc/kallsyms, all of them",
  NEEDS_LAB,
  () => {
    const text = guest.symbols.find(([, , name]) => name === "_text");
    assert.equal(text?.[0], loadedAt(image.symbol("_text") ?? (0 as Vaddr), slide));
    assert.notEqual(slide, 0);
    const hash = createHash("sha256");
    let count = 0;
    for (const { vaddr, type, name } of image.symbols()) {
      const address = vaddr >= 0 ? BigInt(vaddr) : toBigInt(loadedAt(vaddr, slide));
      hash.update(`${address.toString(16).padStart(16, "0")} ${type} ${name}\n`);
      count += 1;
    }
    assert.ok(count > 80_000);
    assert.equal(hash.digest("hex"), guest.digest);
  },
);

function modules(): readonly KernelModule[] {
  const { modules: found, damage } = loadedModules(image, memory, slide);
  assert.equal(damage, undefined);
  return found;
}

test("modules are found in memory, with the addresses that /proc/modules has", NEEDS_LAB, () => {
  const told = guest.modules.map((line) => {
    const [name = "", size = "", , , , base = ""] = line.split(" ");
    return `${name} ${size} ${base}`;
  });
  const seen = modules().map((module) => {
    const size = module.ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    return `${module.name} ${String(size)} 0x${BigInt.asUintN(64, BigInt(module.base)).toString(16)}`;
  });
  assert.ok(seen.some((line) => line.startsWith("xfs ")));
  assert.deepEqual(seen, told);
});

test(
  "a module's symbols are those that /proc/kallsyms has of it, its functions among them",
  NEEDS_LAB,
  () => {
    for (const module of modules()) {
      const told = guest.symbols.filter(([, , , name]) => name === module.name);
      const seen = [...module.symbols()].map(({ vaddr, type, name }) => `${String(vaddr)} ${type} ${name}`);
      assert.deepEqual(
        new Set(seen),
        new Set(told.map(([at, type, name]) => `${String(at)} ${type} ${name}`)),
      );
      const [first] = module.functions("*");
      assert.ok(first !== undefined && first.vaddr >= module.base && first.size > 0);
      assert.equal(module.symbolAt((first.vaddr + 1) as Vaddr)?.start, first.vaddr);
    }
  },
);

test(
  "a module's types stand on the kernel's, and its tables of unwinding and forbidden places are read",
  NEEDS_LAB,
  () => {
    const xfs = modules().find(({ name }) => name === "xfs");
    assert.ok(xfs !== undefined);
    const mount = xfs.types.named("struct", "xfs_mount");
    assert.ok(mount?.kind === "struct" && (mount.size ?? 0) > 500);
    const superblock = mount.members.find(({ name }) => name === "m_super");
    assert.ok(superblock?.type.kind === "pointer");
    assert.equal(superblock.type.to, image.types?.named("struct", "super_block"));
    assert.equal(image.types?.named("struct", "xfs_mount"), undefined);
    assert.deepEqual(
      xfs.prototype("xfs_file_open")?.parameters.map(({ name }) => name),
      ["inode", "file"],
    );
    const open = xfs.symbol("xfs_file_open");
    assert.ok(open !== undefined);
    assert.equal(xfs.forbidden(open), undefined);
    assert.equal(xfs.forbidden((xfs.base - 1) as Vaddr), "not-code");
    assert.equal(xfs.unwind?.at(open)?.kind, "call");
  },
);

/** The frames of a task that is not running, from where it left the processor. */
function stackOf(task: LiveStruct): { frames: KernelFrame[]; last: Unwound } {
  const types = image.types;
  assert.ok(types !== undefined);
  const sp = task.pointer("thread.sp");
  // Linux, arch/x86/include/asm/switch_to.h: struct inactive_task_frame.
  const left = LiveStruct.read(memory, sp, types, "inactive_task_frame");
  const word = (at: Address): bigint | undefined => {
    const bytes = Buffer.alloc(8);
    return memory.readSome(at, bytes) === 8 ? bytes.readBigUInt64LE() : undefined;
  };
  let frame: KernelFrame = {
    pc: left.pointer("ret_addr"),
    sp: (sp + image.offsetOf("inactive_task_frame", "ret_addr") + 8) as Address,
    bp: BigInt(left.pointer("bp")),
    interrupted: false,
  };
  const frames = [frame];
  for (;;) {
    const step = unwindStep(frame, { entryAt: (pc) => image.unwind?.at(unloadedFrom(pc, slide)), word });
    if (step.kind === "end" || frames.length > 100) return { frames, last: step };
    frame = step.frame;
    frames.push(frame);
  }
}

test("the stack of a sleeping task unwinds as the kernel itself unwinds it", NEEDS_LAB, () => {
  const types = image.types;
  const head = image.symbol("init_task");
  assert.ok(types !== undefined && head !== undefined);
  const link = image.offsetOf("task_struct", "tasks");
  const first = loadedAt(head, slide);
  let task = LiveStruct.read(memory, first, types, "task_struct");
  while (task.u32("pid") !== guest.sleeper) {
    const next = (task.pointer("tasks.next") - link) as Address;
    assert.notEqual(next, first, "no such task");
    task = LiveStruct.read(memory, next, types, "task_struct");
  }
  assert.equal(task.text("comm", 16), "sleep");
  const { frames, last } = stackOf(task);
  const seen = frames.map(({ pc }) => {
    const symbol = image.symbolAt(unloadedFrom(pc, slide));
    return `${symbol?.name ?? "?"}+0x${(symbol?.offset ?? 0).toString(16)}/0x${(symbol?.size ?? 0).toString(16)}`;
  });
  const told = guest.stack.map((line) => line.replace("[<0>] ", ""));
  // The kernel leaves the scheduler's own functions out, and says no more of where it was entered.
  assert.deepEqual(seen.slice(-told.length), told);
  assert.ok(told.length >= 4);
  assert.deepEqual([last.kind, last.kind === "end" ? last.why : ""], ["end", "user-mode"]);
});

test("a damaged list of modules gives what is there, and a sentence", NEEDS_LAB, () => {
  const list = loadedAt(image.symbol("modules") ?? (0 as Vaddr), slide);
  const link = image.offsetOf("module", "list");
  const all = modules();
  const [first, second] = all;
  assert.ok(first !== undefined && second !== undefined);
  const pretending = (at: Address, value: Address): LiveMemory => ({
    readSome(from, into) {
      const count = memory.readSome(from, into);
      const bytes = Buffer.from(into.buffer, into.byteOffset, into.byteLength);
      if (at >= from && at + 8 <= from + into.length) bytes.writeBigInt64LE(BigInt(value), at - from);
      return count;
    },
  });
  const next = (first.at + link) as Address;
  const broken = loadedModules(image, pretending(next, 0x10 as Address), slide);
  assert.deepEqual(
    broken.modules.map(({ name }) => name),
    [first.name],
  );
  assert.match(
    broken.damage ?? "",
    /the kernel's memory cannot be read at 0x10 \(the list of modules\)|0x[0-9a-f]+/,
  );
  const circle = loadedModules(image, pretending((second.at + link) as Address, next), slide);
  assert.match(circle.damage ?? "", /the kernel's list of modules has no end/);
  const nothing = loadedModules(image, pretending(list, list), slide);
  assert.deepEqual(nothing, { modules: [], damage: undefined });
  assert.ok(addressOf(readLive(memory, list, 8, "it").readBigInt64LE()) !== undefined);
});
