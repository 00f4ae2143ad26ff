// What a killed tracer left in a kernel's text goes, byte for byte, and nothing else does.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { instructionStarts } from "../../../src/arch/x86_64/decode.js";
import { type Address, toBigInt } from "../../../src/base/address.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import { type LoadBias, loadedAt, type Vaddr } from "../../../src/symbols/vaddr.js";
import { cleanKernel } from "../../../src/targets/gdb/kernel/clean.js";
import { findSlide } from "../../../src/targets/gdb/kernel/slide.js";
import { GdbClient } from "../../../src/targets/gdb/protocol/client.js";
import type { LabMachine } from "../../../src/targets/lab/machine.js";
import { NEEDS_LAB, bootedLab } from "../../support/lab.js";

const folder = mkdtempSync(join(tmpdir(), "trapline-clean-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const INT3 = Uint8Array.of(0xcc);
const SEED = Number(process.env["TRAPLINE_SEED"] ?? Date.now() % 2 ** 31);
const NOTHING = { restored: [], unclear: [], gates: 0, rewound: 0 };

/** A linear congruential generator: a seed names a run. Numerical Recipes, 7.1. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Opened extends Disposable {
  readonly client: GdbClient;
  readonly slide: LoadBias;
}

function open(machine: LabMachine, image: KernelImage): Opened {
  const client = GdbClient.connect(`unix:${machine.stub}`);
  client.stopReason();
  const slide = findSlide((at, into) => client.readMemory(at, into), image, client.name);
  return {
    client,
    slide,
    [Symbol.dispose]: () => {
      client[Symbol.dispose]();
    },
  };
}

function leave(client: GdbClient): void {
  client.detach(client.threads()[0]?.process);
}

function textOf(client: GdbClient, image: KernelImage, slide: LoadBias): Uint8Array {
  const text = image.between("_stext", "_etext") ?? assert.fail("no text");
  const file = join(folder, "text");
  const at = toBigInt(loadedAt(text.start, slide)).toString(16);
  client.monitor(`memsave 0x${at} ${String(text.end - text.start)} "${file}"`);
  return readFileSync(file);
}

test("breakpoints at any instruction go, and the text is what it was", NEEDS_LAB, async () => {
  const random = randomFrom(SEED);
  await using machine = await bootedLab({ kaslr: true });
  using image = KernelImage.open(machine.kernel);
  using opened = open(machine, image);
  const { client, slide } = opened;
  const bare = textOf(client, image, slide);
  const start = image.between("_stext", "_etext")?.start ?? (0 as Vaddr);
  assert.deepEqual(cleanKernel(client, image), NOTHING);

  const functions = image.functions("*");
  const written = new Set<Vaddr>();
  while (written.size < 2000) {
    const { vaddr, size } = functions[Math.floor(random() * functions.length)] ?? assert.fail();
    const offset = vaddr - start;
    if (offset < 0 || offset + size > bare.length) continue;
    // Half of them where probes stand by themselves, half anywhere in the live text.
    const { starts } = instructionStarts(bare.subarray(offset, offset + size), vaddr as number as Address);
    const chosen =
      starts[random() < 0.5 ? Math.min(1, starts.length - 1) : Math.floor(random() * starts.length)];
    const at = chosen as number | undefined;
    if (at === undefined || bare[at - start] === INT3[0]) continue;
    if (client.writeMemory(loadedAt(at as Vaddr, slide), INT3) === 1) written.add(at as Vaddr);
  }
  const { restored, unclear } = cleanKernel(client, image);
  const after = textOf(client, image, slide);
  const wrong = restored.filter((vaddr) => after[vaddr - start] !== bare[vaddr - start]);
  assert.deepEqual(wrong, [], `seed ${String(SEED)}: restored wrongly`);
  assert.deepEqual(
    restored.filter((vaddr) => !written.has(vaddr)),
    [],
    "nothing but ours",
  );
  // Instructions that the kernel wrote itself when it booted: some of them cannot be told from their rest.
  const left = [...written].filter((vaddr) => after[vaddr - start] === INT3[0]);
  const silent = left.filter((vaddr) => !unclear.includes(vaddr));
  assert.ok(unclear.length <= written.size / 100, `seed ${String(SEED)}: ${String(unclear.length)} unclear`);
  assert.ok(silent.length <= written.size / 100, `seed ${String(SEED)}: ${String(silent.length)} not seen`);
  for (const vaddr of left)
    client.writeMemory(loadedAt(vaddr, slide), bare.subarray(vaddr - start, vaddr - start + 1));
  leave(client);
  assert.equal((await machine.run("echo alive")).output, "alive\n");
});

test("kprobes of the guest's own stay", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  using image = KernelImage.open(machine.kernel);
  const probes = "/sys/kernel/tracing/kprobe_events";
  const enable = "echo 1 >/sys/kernel/tracing/events/kprobes/enable";
  const optimized = "echo 0 >/proc/sys/debug/kprobes-optimization";
  const set = await machine.run(`${optimized}; echo 'p:own vfs_read+0x7' >${probes} && ${enable}`);
  assert.deepEqual(set, { output: "", error: "", status: 0 });
  {
    using opened = open(machine, image);
    const place = loadedAt(((image.symbol("vfs_read") ?? 0) + 0x7) as Vaddr, opened.slide);
    const byte = new Uint8Array(1);
    opened.client.readMemory(place, byte);
    assert.equal(byte[0], INT3[0], "the guest has a breakpoint there");
    assert.deepEqual(cleanKernel(opened.client, image), NOTHING);
    opened.client.readMemory(place, byte);
    assert.equal(byte[0], INT3[0]);
    leave(opened.client);
  }
  await machine.run("cat /proc/uptime");
  assert.match(
    (await machine.run("echo 0 >/sys/kernel/tracing/tracing_on; grep -c own: /sys/kernel/tracing/trace"))
      .output,
    /^[1-9]/,
  );
});
