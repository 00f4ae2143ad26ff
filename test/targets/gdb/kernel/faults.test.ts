// Exceptions that the probed instruction raises in a live kernel (case 3), and how the kernel goes on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NEEDS_LAB, bootedLab } from "../../../support/lab.js";
import { doing, ProbedKernel } from "./probed-kernel.js";

const PAGE_FAULT = 14;
const ZEROS = "dd if=/dev/zero of=/dev/null bs=256k count=2 2>&1 | tail -1";

test(
  "[S3a fault] a page fault of the instruction is told, the kernel brings the page, and the retry is one",
  NEEDS_LAB,
  async (t) => {
    await using machine = await bootedLab();
    await using kernel = new ProbedKernel(machine);
    const codes = new Map<number, number>();
    const told = { retried: 0, wrong: 0 };
    const probe = kernel.probe("clear_user_erms", 0xa, {
      pre: doing((hit) => {
        if (hit.retries > 0) told.retried++;
        if (hit.registers.pc !== hit.at) told.wrong++;
      }),
      fault: doing(({ fault, registers, at }) => {
        codes.set(fault?.code ?? -1, (codes.get(fault?.code ?? -1) ?? 0) + 1);
        const address = fault?.address ?? 0n;
        // What it was about to store is where it faulted: rep stosb goes on at rdi.
        if (fault?.number !== PAGE_FAULT || fault.name !== "#PF" || !fault.retryable) told.wrong++;
        if (address !== registers.read("rdi") || registers.pc !== at) told.wrong++;
      }),
      post: doing((hit) => {
        if (hit.registers.pc !== hit.at + 2 || hit.registers.read("rcx") !== 0n) told.wrong++;
      }),
    });
    const { output, status } = await kernel.run(ZEROS);
    assert.equal(status, 0);
    assert.match(output, /^2.0 records out/);
    t.diagnostic(
      `hits ${String(probe.hits)}, completed ${String(probe.completed)}, faults ${String(probe.faulted)}, retries ${String(probe.retries)}, codes ${JSON.stringify([...codes])}`,
    );
    assert.ok(probe.faulted > 10, `faults: ${String(probe.faulted)}`);
    assert.equal(probe.hits, probe.completed + probe.faulted + probe.abandoned);
    assert.equal(probe.abandoned, 0);
    assert.equal(probe.retries, probe.faulted);
    assert.equal(told.retried, probe.retries);
    assert.equal(told.wrong, 0);
    // A write of the kernel to a user's page: not there (2), or there and not writable yet (3).
    assert.ok([...codes.keys()].every((code) => code === 2 || code === 3));
    assert.deepEqual(kernel.failures, []);
  },
);

const GENERAL_PROTECTION = 13;
const WRMSR = Buffer.of(0x0f, 0x30);

test(
  "[S3 fault] an exception that the kernel's exception table deals with is told, and not retried",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab({ modules: ["msr"], append: "msr.allow_writes=on" });
    await using kernel = new ProbedKernel(machine);
    const text = new Uint8Array(64);
    kernel.target.memory().read(kernel.address("native_write_msr_safe"), text);
    const told: string[] = [];
    const probe = kernel.probe("native_write_msr_safe", Buffer.from(text).indexOf(WRMSR), {
      pre: doing((hit) => told.push(`pre, retries ${String(hit.retries)}`)),
      fault: doing(({ fault }) => {
        assert.equal(fault?.number, GENERAL_PROTECTION);
        assert.equal(fault.address, undefined);
        told.push(`fault ${fault.name} ${String(fault.code)}, retryable ${String(fault.retryable)}`);
      }),
      post: doing(() => told.push("post")),
    });
    // IA32_PKRS takes 32 bits; a register takes what is written 8 bytes at a time.
    const write = (bytes: string): string =>
      `printf '${bytes}' | dd of=/dev/cpu/0/msr bs=8 count=1 oflag=seek_bytes seek=1761 2>&1 | grep -o 'Input' ; true`;
    const bad = await kernel.run(write("\\1\\1\\1\\1\\1\\1\\1\\1"));
    const good = await kernel.run(write("\\1\\0\\0\\0\\0\\0\\0\\0"));
    assert.deepEqual([bad.output, good.output], ["Input\n", ""]);
    assert.deepEqual(told, ["pre, retries 0", "fault #GP 0, retryable false", "pre, retries 0", "post"]);
    assert.deepEqual([probe.hits, probe.completed, probe.faulted, probe.retries], [2, 1, 1, 0]);
    assert.deepEqual(kernel.failures, []);
  },
);

test(
  "[S3a fault] two processors that fault and try again at the same time are told apart",
  NEEDS_LAB,
  async (t) => {
    await using machine = await bootedLab({ smp: 2 });
    await using kernel = new ProbedKernel(machine);
    const probe = kernel.probe("clear_user_erms", 0xa, {
      fault: doing(() => undefined),
      post: doing(() => undefined),
    });
    const { output } = await kernel.run(`for i in 1 2 3; do (${ZEROS}) & done; wait`);
    assert.equal(output, "2+0 records out\n".repeat(3));
    t.diagnostic(
      `hits ${String(probe.hits)}, faults ${String(probe.faulted)}, retries ${String(probe.retries)}`,
    );
    assert.ok(probe.faulted > 30);
    assert.equal(probe.hits, probe.completed + probe.faulted);
    assert.equal(probe.retries, probe.faulted);
    assert.deepEqual(kernel.failures, []);
  },
);

const REP_MOVSB = Buffer.of(0xf3, 0xa4);

test(
  "the user-copy instruction: a page that is brought is a retry, one that never comes is none",
  NEEDS_LAB,
  async (t) => {
    await using machine = await bootedLab();
    await using kernel = new ProbedKernel(machine);
    const name = "copy_user_enhanced_fast_string";
    const text = new Uint8Array(128);
    kernel.target.memory().read(kernel.address(name), text);
    const offset = Buffer.from(text).indexOf(REP_MOVSB);
    const bad = { faults: 0, retries: 0 };
    const probe = kernel.probe(name, offset, {
      pre: doing((hit) => {
        if (hit.facts().name === "bad" && hit.retries > 0) bad.retries++;
      }),
      fault: doing((hit) => {
        if (hit.facts().name === "bad") bad.faults++;
      }),
    });
    // write(1, 0x10000, 8): nothing is there. An ELF file of a few instructions.
    const code = Buffer.from("b801000000bf01000000be00000100ba000100000f0589c7f7dfb83c0000000f05", "hex");
    const { output } = await kernel.run(
      `echo ${program(code).toString("base64")} | base64 -d >/bad; chmod +x /bad; { /bad; echo $? >/status; } | cat; cat /status; dd if=/bin/busybox of=/dev/null bs=256k count=2 2>&1 | tail -1`,
    );
    // EFAULT.
    assert.equal(output, "14\n2+0 records out\n");
    t.diagnostic(
      `hits ${String(probe.hits)}, faults ${String(probe.faulted)}, retries ${String(probe.retries)}`,
    );
    assert.ok(bad.faults >= 1);
    assert.equal(bad.retries, 0);
    assert.ok(probe.retries > 0 && probe.retries < probe.faulted);
    assert.equal(probe.hits, probe.completed + probe.faulted);
    assert.deepEqual(kernel.failures, []);
  },
);

/** An ELF file with nothing in it but code. */
function program(code: Buffer): Buffer {
  const file = Buffer.alloc(0x78 + code.length);
  file.write("\x7fELF\x02\x01\x01", 0, "latin1");
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(62, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(0x40_0078n, 24);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64);
  file.writeUInt32LE(5, 68);
  file.writeBigUInt64LE(0x40_0000n, 80);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  code.copy(file, 0x78);
  return file;
}
