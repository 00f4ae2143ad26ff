// Where in Debian's real kernel no probe may be: one place of each kind, and functions that everybody probes.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RefusalReason } from "../../../src/base/refusals.js";
import { KernelImage } from "../../../src/symbols/kernel/image.js";
import { rangeAt, type Vaddr } from "../../../src/symbols/vaddr.js";
import { debianKernel } from "./debian-kernel.js";

const image = KernelImage.open(await debianKernel());

function vaddrOf(name: string): Vaddr {
  const vaddr = image.symbol(name);
  assert.ok(vaddr !== undefined, name);
  return vaddr;
}

function isForbidden(name: string, offset: number, reason: RefusalReason | undefined): void {
  assert.equal(image.forbidden((vaddrOf(name) + offset) as Vaddr), reason, `${name}+${String(offset)}`);
}

test("what must run before the kernel can be traced is refused in a kernel", () => {
  isForbidden("exc_int3", 0, "noinstr-text");
  isForbidden("do_syscall_64", 5, "noinstr-text");
});

test("what enters the kernel is refused", () => {
  isForbidden("entry_SYSCALL_64", 0, "entry-text");
  isForbidden("asm_exc_page_fault", 3, "entry-text");
});

test("what the kernel's own probes refuse is refused, to the end of the function", () => {
  isForbidden("perf_event_nmi_handler", 0, "kprobe-blacklist");
  isForbidden("perf_event_nmi_handler", 20, "kprobe-blacklist");
});

test("code that is gone once the kernel has booted is refused", () => {
  isForbidden("start_kernel", 0, "init-text");
});

test("code that waits to replace other code is refused", () => {
  const range = image.section(".altinstr_replacement");
  assert.ok(range !== undefined);
  assert.equal(image.forbidden(range.start), "alternative-text");
});

test("an instruction that a running kernel rewrites is refused, and the one behind it is not", () => {
  const table = image.between("__start___jump_table", "__stop___jump_table");
  assert.ok(table !== undefined);
  const bytes = Buffer.from(image.bytesAt(table.start, table.end - table.start));
  let refused = 0;
  for (let at = 0; at < bytes.length; at += 16) {
    const place = (table.start + at + bytes.readInt32LE(at)) as Vaddr;
    // A jump, or a `nop` of its size.
    assert.match(Buffer.from(image.bytesAt(place, 5)).toString("hex"), /^(e9|eb|0f1f440000|6690)/);
    const reason = image.forbidden(place);
    assert.ok(reason !== undefined, image.symbolAt(place)?.name);
    if (reason === "patched-text") refused += 1;
  }
  assert.ok(refused > 1000);
  isForbidden("native_sched_clock", 0, "patched-text");
  isForbidden("native_sched_clock", 5, undefined);
});

test("what pads functions is refused", () => {
  let padded = 0;
  for (const { vaddr, size } of image.functions("*")) {
    const last = (vaddr + size - 1) as Vaddr;
    if (image.bytesAt(last, 1)[0] !== 0xcc) continue;
    const reason = image.forbidden(last);
    assert.ok(reason !== undefined, image.symbolAt(last)?.name);
    if (reason === "padding") padded += 1;
  }
  assert.ok(padded > 500);
});

test("data is refused, and functions that everybody probes are not", () => {
  isForbidden("init_task", 0, "not-code");
  for (const name of [
    "vfs_read",
    "vfs_write",
    "do_sys_openat2",
    "tcp_sendmsg",
    "wake_up_new_task",
    "clear_user_erms",
  ])
    isForbidden(name, 0, undefined);
});

test("the kernel's table of expected faults leads from the user copy to its repair", () => {
  const copy = vaddrOf("clear_user_erms");
  const fixup = image.fixup((copy + 10) as Vaddr);
  assert.ok(fixup !== undefined && fixup > copy && fixup < copy + 0x20);
  assert.equal(image.fixup(copy), undefined);
  // Every entry leads from text to text.
  const table = image.section("__ex_table");
  assert.ok(table !== undefined);
  const bytes = Buffer.from(image.bytesAt(table.start, table.end - table.start));
  for (let at = 0; at < bytes.length; at += 12) {
    const place = (table.start + at + bytes.readInt32LE(at)) as Vaddr;
    const target = image.fixup(place);
    assert.ok(target !== undefined && rangeAt(image.text, place) && rangeAt(image.text, target));
  }
});
