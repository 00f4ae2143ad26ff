// Context variables on a real kernel, held against what the guest says of itself.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { LabMachine } from "../../src/targets/lab/machine.js";
import { bootedLab, NEEDS_LAB } from "../support/lab.js";
import { type Session, session } from "./machine.js";

describe("context variables, on a kernel", { concurrency: false, ...NEEDS_LAB }, () => {
  let machine: LabMachine;
  before(async () => {
    machine = await bootedLab();
  });
  after(async () => {
    await machine.end();
  });

  async function lines(script: string, command: string): Promise<Session & { readonly lines: string[] }> {
    const outcome = await session(machine, script, command);
    assert.equal(outcome.status, 0, outcome.stderr);
    return { ...outcome, lines: outcome.stdout.trimEnd().split("\n") };
  }

  test("parameters, members through pointers and the result are those of the very call", async () => {
    const script = `
      probe kernel.function("vfs_read") {
        if (execname() != "dd") next
        name = kernel_string($file->f_path->dentry->d_name->name)
        if (name == "wanted") printf("read %d at %d of %d, inode %d, size %d\\n",
          $count, kernel_long($pos), $pos[0], $file->f_inode->i_ino, $file->f_inode->i_size)
      }
      probe kernel.function("vfs_read").return {
        if (execname() != "dd") next
        if (@entry(kernel_string($file->f_path->dentry->d_name->name)) == "wanted")
          printf("returned %d of %d, %s, good %d\\n", $return, $count, $$return, @entry($pos[0]) + $return == kernel_long($pos))
      }`;
    const make =
      "head -c 700 /dev/zero > /tmp/wanted; stat -c %i /tmp/wanted; dd if=/tmp/wanted bs=512 of=/dev/null 2>/dev/null";
    const { lines: said, guest, stderr } = await lines(script, make);
    const inode = guest.output.trim();
    assert.match(inode, /^\d+$/);
    assert.deepEqual(
      said,
      [
        `read 512 at 0 of 0, inode ${inode}, size 700`,
        "returned 512 of 512, return=0x200, good 1",
        `read 512 at 512 of 512, inode ${inode}, size 700`,
        "returned 188 of 512, return=0xbc, good 1",
        `read 512 at 700 of 700, inode ${inode}, size 700`,
        "returned 0 of 512, return=0x0, good 1",
      ],
      stderr,
    );
  });

  test("values of the entry are each call's own, where calls are in one another", async () => {
    const script = `
      global depth, deepest, returns, before, behind
      probe kernel.function("*_getattr") { depth[tid()]++; if (depth[tid()] > deepest) deepest = depth[tid()] }
      probe kernel.function("*_getattr").return {
        # Either the entry is counted before its value is taken or behind, but always the same.
        returns++; before += @entry(depth[tid()]) == depth[tid()] - 1; behind += @entry(depth[tid()]) == depth[tid()]
        depth[tid()]--
      }
      probe end { printf("%d %d %d\\n", returns > 20, before == returns || behind == returns, deepest > 1) }`;
    const { lines: said, stderr } = await lines(
      script,
      "stat / /proc /proc/self/status /dev /tmp > /dev/null; ls -lR /proc/self > /dev/null 2>&1; true",
    );
    assert.equal(said.at(-1), "1 1 1", stderr);
  });

  test("[S1 pre kernel] a bad pointer behind a cast is fenced, and everything else of the record is written", async () => {
    const script = `
      probe kernel.function("vfs_read") {
        if (execname() != "dd" || n++) next
        try { x = @cast(0x10, "file")->f_inode->i_ino } catch (m) { println(m) }
        try { x = @cast($buf & 7, "struct file")->f_pos; println("no") } catch { println("caught") }
        println(@cast(0x10, "file")$, " ", @cast(0x10, "file")->f_path->dentry->d_name->name$)
        println("done")
      }
      global n`;
    const { lines: said, stderr } = await lines(script, "dd if=/dev/zero count=1 of=/dev/null 2>/dev/null");
    assert.deepEqual(
      [said[0]?.replace(/0x[0-9a-f]+/, "ADDRESS"), ...said.slice(1)],
      ["read fault [man error::fault] at ADDRESS", "caught", "ERROR ERROR", "done"],
      stderr,
    );
    assert.equal(stderr, "");
  });

  test("the current task, the processor's own variables and the kernel's are read by their types", async () => {
    const script = `
      probe kernel.function("vfs_read") {
        if (execname() != "dd" || n++) next
        t = task_current()
        printf("%d %d %s %d\\n", @cast(t, "task_struct")->tgid == pid(), @var("runqueues")->curr == t,
          @cast(t, "task_struct")->comm$, @cast(&@var("init_task"), "task_struct")->pid)
        printf("%s %d\\n", @cast(&@var("init_task"), "task_struct")->comm$, @cast(t, "task_struct")->real_parent->tgid == ppid())
      }
      global n`;
    const { lines: said, stderr } = await lines(script, "dd if=/dev/zero count=1 of=/dev/null 2>/dev/null");
    assert.deepEqual(said, ['1 1 "dd" 0', '"swapper/0" 1'], stderr);
  });

  test("lists of parameters of many functions are shown, and none of their handlers is cancelled", async () => {
    const script = `
      global n, length
      probe kernel.function("vfs_*") { n++; length += strlen($$parms$) + strlen($$vars) }
      probe end { printf("%d %d\\n", n > 10, length > 1000) }`;
    const { lines: said, stderr } = await lines(
      script,
      "ls -lR /proc/self > /dev/null 2>&1; cat /proc/uptime > /dev/null",
    );
    assert.equal(said.at(-1), "1 1");
    assert.equal(stderr, "");
  });

  test("a backtrace goes from the function to the system call", async () => {
    const script = `
      probe kernel.function("vfs_read") { if (execname() == "dd" && !n++) { print_backtrace(); println(sprint_backtrace()) } }
      global n`;
    const { lines: said, stderr } = await lines(script, "dd if=/dev/zero count=1 of=/dev/null 2>/dev/null");
    assert.match(
      said[0] ?? "",
      /^ 0xffffffff[0-9a-f]{8} : vfs_read\+0x[0-9a-f]+\/0x[0-9a-f]+ \[kernel\]$/,
      stderr,
    );
    assert.match(said[1] ?? "", / : ksys_read\+0x/);
    assert.ok(
      said.some((line) => /^entry_SYSCALL_64\w*\+0x[0-9a-f]+ \[kernel\]$/.test(line)),
      said.join("\n"),
    );
  });
});
