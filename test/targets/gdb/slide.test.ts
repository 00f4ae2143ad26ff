// Where a running kernel is, found through the stub alone, and compared with what the guest itself says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TargetError } from "../../../src/base/errors.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import { exceptionEntry, findSlide } from "../../../src/targets/gdb/kernel/slide.js";
import { GdbClient } from "../../../src/targets/gdb/protocol/client.js";
import { NEEDS_LAB, bootedLab } from "../../support/lab.js";

for (const kaslr of [false, true]) {
  test(`the slide of a kernel ${kaslr ? "with" : "without"} KASLR is found`, NEEDS_LAB, async () => {
    await using machine = await bootedLab({ kaslr });
    const { output } = await machine.run("grep -w 'asm_exc_page_fault\\|vfs_read' /proc/kallsyms");
    const live = (name: string): bigint =>
      BigInt.asIntN(64, BigInt(`0x${new RegExp(`^([0-9a-f]+) T ${name}$`, "m").exec(output)?.[1] ?? ""}`));
    using image = KernelImage.open(machine.kernel);
    using client = GdbClient.connect(`unix:${machine.stub}`);
    const read = client.readMemory.bind(client);
    const slide = findSlide(read, image, client.name);
    assert.equal(BigInt((image.symbol("vfs_read") ?? 0) + slide), live("vfs_read"));
    if (!kaslr) assert.equal(slide, 0);
    assert.equal(BigInt(exceptionEntry(read, 14) ?? 0), live("asm_exc_page_fault"));
    const other = new Proxy(image, {
      get: (of, name) => (name === "banner" ? "Linux version 1.0" : (Reflect.get(of, name, of) as unknown)),
    });
    assert.throws(
      () => findSlide(read, other, "the stub"),
      (error) =>
        error instanceof TargetError &&
        /^the kernel behind the stub is not that of .*: it says "Linux version 6/.test(error.message),
    );
    assert.throws(() => findSlide(() => 0, image, "the stub"), /no Linux kernel of x86-64 runs there/);
  });
}
