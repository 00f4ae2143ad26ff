// A kernel whose current task is damaged, while probes are hit and scripts ask who is there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Address } from "../../src/base/address.js";
import { KernelImage } from "../../src/symbols/kernel/image.js";
import { GdbClient } from "../../src/targets/gdb/protocol/client.js";
import { bootedLab, NEEDS_LAB } from "../support/lab.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { session } from "./machine.js";

const SKIP = NEEDS_LAB.skip !== false ? NEEDS_LAB : needs("gcc", "libc6-dev");

/** Nothing; nowhere; no address at all; a page of the kernel's that is not there, odd; a user's; text. */
const DAMAGES = ["0", "8", "8000000000000000", "ffffc8ffffff0001", "400000", "ffffffff81000000"] as const;
/** Those behind which nothing can be read. */
const UNREADABLE = DAMAGES.length - 2;

test(
  "[S2 pre kernel][S2 post kernel] a damaged current task, in a whole session: fenced and unfenced reads of it, facts, callers; the machine and the session go on",
  SKIP,
  async () => {
    const traps = { bytes: readFileSync(target("guest_traps", "-static")), mode: 0o755 };
    await using machine = await bootedLab({ files: new Map([["/bin/traps", traps]]) });
    using image = KernelImage.open(machine.kernel);
    const [sysfs] = image.functions("__x64_sys_sysfs");
    const current = image.symbol("current_task");
    assert.ok(sysfs !== undefined && current !== undefined);
    const { code, probed } = damagesCurrent(current);
    assert.ok(5 + code.length <= sysfs.size);
    {
      using client = GdbClient.connect(`unix:${machine.stub}`);
      client.stopReason();
      assert.equal(client.writeMemory((sysfs.vaddr + 5) as Address, code), code.length);
      client.detach(1);
    }
    const command = `traps pass ${DAMAGES.join(" ")}; cat /proc/version | wc -l`;
    const bare = (await machine.run(command)).output;
    assert.equal(bare, `${DAMAGES.map((each) => `${each} 0\n`).join("")}1\n`);
    const place = `kernel.statement("__x64_sys_sysfs+0x${(5 + probed).toString(16)}")`;
    const { stdout, stderr, status, guest } = await session(
      machine,
      `global n, caught, whole, behind, after, good
       probe pre ${place} { n++; printf("%d|%s|%d|%d|%d|%d\\n", pid(), execname(), tid(), uid(), ppid(), cpu()) }
       probe post ${place} {
         try { s = kernel_string(@cast(task_current(), "task_struct")->real_parent->comm); whole++ } catch { caught++ }
         behind++
       }
       probe pre ${place} { kernel_string(@cast(task_current(), "task_struct")->real_parent->comm); after++ }
       probe post ${place} { if (behind == 1) { printf("%s\\n", symname(addr())); print_backtrace() } }
       # It is right again before the call ends, and so is what is told of it.
       probe kernel.function("vfs_write") { if (execname() == "traps" && pid() == tid() && pid() > 1) good++ }
       probe end { printf("%d %d %d %d %d %d\\n", n, caught, whole, behind, after, good > 0) }`,
      command,
      "-D",
      "MAXCANCELLED=0",
    );
    assert.equal(guest.output, bare, stderr);
    assert.equal(status, 0, stderr);
    const lines = stdout.trimEnd().split("\n");
    const facts = lines.filter((line) => line.includes("|"));
    assert.equal(facts.length, DAMAGES.length, stdout);
    assert.deepEqual(facts.slice(0, UNREADABLE), Array<string>(UNREADABLE).fill("0||0|0|0|0"), stdout);
    assert.match(stdout, /^__x64_sys_sysfs$/m);
    assert.match(stdout, /do_syscall_64/);
    const [n, caught = 0, whole = 0, behind, after, good] = (lines.at(-1) ?? "").split(" ").map(Number);
    assert.deepEqual([n, behind, caught + whole, good], [DAMAGES.length, DAMAGES.length, n, 1], stdout);
    assert.ok(caught >= UNREADABLE, stdout);
    // The same reads without a fence cancel their handler, as often.
    assert.equal(after, whole, stdout);
    assert.match(stderr, /handler fault/);
    assert.equal((await machine.run("dmesg | grep -E 'WARNING|BUG:|Oops|int3:|stall'; true")).output, "");
  },
);

/**
 * Code of a system call that makes its second argument be the current task for one instruction, with
 * interrupts held back.
 *
 * @param current the per-CPU variable
 * @returns where in it that instruction is
 */
function damagesCurrent(current: number): { readonly code: Uint8Array; readonly probed: number } {
  const place = Buffer.alloc(4);
  place.writeInt32LE(current);
  const before = [
    ...[0x9c, 0xfa], // pushf; cli
    ...[0x48, 0x8b, 0x4f, 0x68], // mov rcx, [rdi+68h]
    ...[0x65, 0x48, 0x8b, 0x04, 0x25, ...place], // mov rax, gs:[current]
    ...[0x65, 0x48, 0x89, 0x0c, 0x25, ...place], // mov gs:[current], rcx
  ];
  const after = [
    ...[0x48, 0x0f, 0xbd, 0xd7], // bsr rdx, rdi
    ...[0x65, 0x48, 0x89, 0x04, 0x25, ...place], // mov gs:[current], rax
    ...[0x9d, 0x31, 0xc0, 0xc3], // popf; xor eax, eax; ret
  ];
  return { code: Uint8Array.from([...before, ...after]), probed: before.length };
}
