// The rows of the requirement, in scripts on a real kernel: Debian's, where its linker put it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { LabMachine } from "../../src/targets/lab/machine.js";
import { bootedLab, NEEDS_LAB } from "../support/lab.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { besideLoad, faultingPlaces, type FaultingPlaces, type Session, session } from "./machine.js";

const SKIP = NEEDS_LAB.skip !== false ? NEEDS_LAB : needs("gcc", "libc6-dev");

/** Writes zeros to pages that are not there yet, over and over: the instruction faults, and is tried again. */
const DD = "dd if=/dev/zero bs=256k count=3 2>/dev/null | md5sum";

/**
 * What begins a handler that counts what is compared. A shell whose child ends gets a signal, whose frame it is given
 * by the same instruction: that may be under way when the session ends, which ends with the command.
 */
const ONLY_DD = `if (execname() != "dd") next`;

const MACHINES = [
  { name: "a kernel", kaslr: false, processors: 1 },
  { name: "a kernel with KASLR, on two processors under load", kaslr: true, processors: 2 },
] as const;

for (const { name, kaslr, processors } of MACHINES)
  describe(`the rows, on ${name}`, { concurrency: false, ...SKIP }, () => {
    /** A command beside which another processor has something to do. */
    const under = (command: string): string => (processors > 1 ? besideLoad(command) : command);
    let machine: LabMachine;
    let places: FaultingPlaces;
    /** What the guest says by itself. */
    let bare = "";

    before(async () => {
      const calls = { bytes: readFileSync(target("guest_calls", "-static")), mode: 0o755 };
      machine = await bootedLab({ kaslr, smp: processors, files: new Map([["/bin/calls", calls]]) });
      places = faultingPlaces(machine.kernel);
      bare = (await machine.run(DD)).output;
    });
    after(async () => {
      await machine.end();
    });

    /** A session under which the guest does what it does by itself. @returns the numbers of its last line */
    async function onFaults(
      body: string,
      ...words: readonly string[]
    ): Promise<Session & { readonly numbers: readonly number[] }> {
      const script = body.replaceAll("X", `kernel.statement("${places.clears}")`);
      const outcome = await session(machine, script, under(DD), ...words);
      assert.equal(outcome.guest.output, bare, outcome.stderr);
      assert.equal(outcome.status, 0, outcome.stderr);
      const last = outcome.stdout.trimEnd().split("\n").at(-1) ?? "";
      return { ...outcome, numbers: last.split(" ").map(Number) };
    }

    test("[S1 pre kernel][S1 post kernel][S1 fault kernel][S8 pre kernel][S8 post kernel][S8 fault kernel] a fence catches a bad kernel_string in every phase; the statements behind it run, and next ends it", async () => {
      const body = `{ n++; try { s = kernel_string(8); bad++ } catch (why) { if (isinstr(why, "fault")) caught++ } after++; next; bad++ }`;
      const names = ["pre", "post", "fault"];
      const { numbers, stderr } = await onFaults(
        `global n, caught, after, bad, phase
       ${names.map((each) => `probe ${each} X { phase["${each}"]++ } probe ${each} X ${body}`).join("\n")}
       probe end { printf("%d %d %d %d %d %d %d\\n", n, caught, after, bad, phase["pre"], phase["post"], phase["fault"]) }`,
      );
      const [n = 0, caught, behind, bad, pre = 0, post = 0, fault = 0] = numbers;
      assert.deepEqual([caught, behind, bad, pre + post + fault], [n, n, 0, n]);
      assert.ok(pre > 0 && post > 0 && fault > 0, `${String(pre)} ${String(post)} ${String(fault)}`);
      assert.equal(stderr, "");
    });

    test("[S2 pre kernel][S2 post kernel][S2 fault kernel] an unfenced bad kernel_string cancels the handler, quietly: a line at the end, and status 0", async () => {
      const { numbers, stderr } = await onFaults(
        `global n, after
       probe pre X { n++; kernel_string(8); after++ }
       probe post X { n++; kernel_string(8); after++ }
       probe fault X { n++; kernel_string(8); after++ }
       probe end { printf("%d %d\\n", n, after) }`,
        "-D",
        "MAXCANCELLED=0",
      );
      assert.ok((numbers[0] ?? 0) > 0);
      assert.equal(numbers[1], 0);
      const lines = stderr.trimEnd().split("\n");
      assert.equal(lines.length, 3, stderr);
      for (const line of lines) assert.match(line, /<input>:\d+:\d+.*handler fault.*0x8/);
    });

    test("[S3 pre kernel][S3 post kernel][S3 fault kernel][S3a fault kernel][S3a post kernel][S3c pre kernel][S3c post kernel][S3c fault kernel] a page fault of the probed instruction is told by fault phases, not by post; the retry is counted, and the kernel never sees our step", async () => {
      const { numbers, stdout } = await onFaults(
        `global pre, post, fault, first, again, flags, retryable, completed
       probe pre X { ${ONLY_DD}; pre++; if (probe_retries()) { again++; next } first++ }
       probe post X { ${ONLY_DD}; post++; if (probe_retries()) completed++ }
       probe fault X {
         ${ONLY_DD}; fault++; retryable += fault_retryable()
         if (register("eflags") & 0x100) flags++
         if (fault < 3) printf("%s %d 0x%x\\n", fault_name(), fault_code(), fault_address())
       }
       probe end { printf("%d %d %d %d %d %d %d %d\\n", pre, post, fault, first, again, flags, retryable, completed) }`,
      );
      const [pre = 0, post = 0, fault = 0, first = 0, again = 0, flags, retryable, completed] = numbers;
      assert.ok(fault > 10, `faults: ${String(fault)}`);
      assert.equal(pre, post + fault, "each arrival completed, or faulted");
      assert.equal(pre, first + again);
      assert.equal(again, fault, "each fault was retried");
      assert.equal(first, post, "what was begun was done in the end");
      assert.deepEqual([flags, retryable], [0, fault], "no trap flag, and all can be retried");
      assert.ok(completed !== undefined && completed > 0 && completed <= fault);
      // A write (2) of the kernel itself, to a page that was not there.
      assert.match(stdout, /^#PF [23] 0x[0-9a-f]+$/m);
    });

    test("[S3b post kernel][S3b fault kernel][S11 pre kernel][S11 post kernel][S11 fault kernel] one handler for both is told which", async () => {
      const { numbers } = await onFaults(
        `global pre, post, fault
       probe pre X { ${ONLY_DD}; pre++ }
       probe post, fault X { ${ONLY_DD}; if (faulted()) fault++; else post++ }
       probe end { printf("%d %d %d\\n", pre, post, fault) }`,
      );
      const [pre = 0, post = 0, fault = 0] = numbers;
      assert.ok(fault > 10);
      assert.equal(pre, post + fault);
    });

    test("[S7a pre kernel][S7a post kernel][S7a fault kernel] the same helper is called in a fence and without: only the fenced fault is caught", async () => {
      const body = `{ try { helper(3) } catch { fenced++ } n++; helper(2); through++ }`;
      const { numbers } = await onFaults(
        `global n, fenced, through
       function helper(depth) { if (depth) helper(depth - 1); else kernel_long(8) }
       ${["pre", "post", "fault"].map((each) => `probe ${each} X ${body}`).join("\n")}
       probe end { printf("%d %d %d\\n", n, fenced, through) }`,
        "-D",
        "MAXCANCELLED=0",
      );
      const [n = 0, fenced, through] = numbers;
      assert.ok(n > 30);
      assert.deepEqual([fenced, through], [n, 0]);
    });

    test("[S7b pre kernel][S7b post kernel][S7b fault kernel] MAXFAULT ends a handler that faults over and over, and MAXCANCELLED its probe", async () => {
      const body = `{ n[NAME]++; for (i = 0; i < 100; i++) try { kernel_long(8) } catch { caught[NAME]++ } ended++ }`;
      const outcome = await onFaults(
        `global n, caught, ended
       ${["pre", "post", "fault"].map((each) => `probe ${each} X ${body.replaceAll("NAME", `"${each}"`)}`).join("\n")}
       probe end { printf("%d %d %d %d %d %d %d\\n", n["pre"], caught["pre"], n["post"], caught["post"], n["fault"], caught["fault"], ended) }`,
        ...["-D", "MAXFAULT=7", "-D", "MAXCANCELLED=5"],
      );
      const [pre, ofPre, post = 0, ofPost, fault = 0, ofFault, ended] = outcome.numbers;
      assert.deepEqual([pre, ofPre, ended], [5, 35, 0], "disarmed after five hits in a row");
      assert.deepEqual([ofPost, ofFault], [7 * post, 7 * fault]);
      assert.ok(post > 0 && fault > 0);
      assert.match(outcome.stderr, /MAXCANCELLED/);
    });

    test("[S12 pre kernel] a probe without a phase word is not called for an exception that is retried, at no step of its own", async () => {
      const outcome = await onFaults(
        `global n, told
       probe X { if (faulted()) told++; else n++ }
       probe end { printf("%d %d\\n", n, told) }`,
        "-t",
      );
      const row = /^trap +(\d+) +\d+ +(\d+) +\d+ +\d+ +(\d+)/m.exec(outcome.stdout);
      assert.ok(row !== null, outcome.stdout);
      const [, hits, retries, faults] = row;
      assert.ok(Number(faults) > 10);
      // Of all programs: when the session ends a shell may be dealing with the end of its child, on each processor.
      const open = Number(faults) - Number(retries);
      assert.ok(open >= 0 && open <= processors, `counted all the same: ${String(row)}`);
      assert.match(outcome.stdout, new RegExp(`^${String(hits)} 0$`, "m"));
    });

    test("[S3 fault kernel][S3c fault kernel] the instruction that copies to programs faults on pages that are not there, and is retried", async () => {
      const command =
        "head -c 600000 /dev/zero >/tmp/file; dd if=/tmp/file bs=256k 2>/dev/null | md5sum; rm /tmp/file";
      const bareCopy = (await machine.run(command)).output;
      const outcome = await session(
        machine,
        `global pre, post, fault, again
       probe pre kernel.statement("${places.copies}") { pre++; if (probe_retries()) again++ }
       probe post kernel.statement("${places.copies}") { post++ }
       probe fault kernel.statement("${places.copies}") { fault++ }
       probe end { printf("%d %d %d %d\\n", pre, post, fault, again) }`,
        under(command),
      );
      assert.equal(outcome.guest.output, bareCopy);
      const [pre = 0, post = 0, fault = 0, again = 0] = outcome.stdout.trim().split(" ").map(Number);
      assert.ok(fault > 0 && again > 0, outcome.stdout);
      assert.equal(pre, post + fault);
      assert.ok(again <= fault);
    });

    test("[S11 pre kernel][S11 post kernel][S11 fault kernel][S3c fault kernel] pre, post and fault of a system call: its entry, its return, EFAULT; a call that is made again is a retry", async () => {
      const calls = await session(
        machine,
        `global pre, post, fault
       probe pre syscall.write { if (execname() == "calls") pre++ }
       probe post syscall.write { if (execname() == "calls") post++ }
       probe fault syscall.write { if (execname() == "calls") { fault++; if (fault == 1) printf("%s retryable %d buf %x count %d\\n", fault_name(), fault_retryable(), pointer_arg(2), long_arg(3)) } }
       probe end { printf("%d %d %d\\n", pre, post, fault) }`,
        under("calls bad-buffer 5"),
      );
      assert.equal(calls.guest.output, "EFAULT 5\n");
      assert.equal(calls.stdout, "EFAULT retryable 0 buf 8 count 100\n6 1 5\n", calls.stderr);
      const restarted = await session(
        machine,
        `global pre, post, fault, again, retryable
       probe pre syscall.read { if (execname() == "calls") { pre++; if (probe_retries()) again++ } }
       probe post syscall.read { if (execname() == "calls") post++ }
       probe fault syscall.read { if (execname() == "calls") { fault++; retryable += fault_retryable() } }
       probe end { printf("%d %d %d %d %d\\n", pre, post, fault, again, retryable) }`,
        under("calls restarted 3"),
      );
      assert.equal(restarted.guest.output, "read 1 after signals\n");
      const [pre = 0, post = 0, fault = 0, again = 0, retryable] = restarted.stdout
        .trim()
        .split(" ")
        .map(Number);
      assert.ok(fault >= 1, restarted.stdout);
      assert.deepEqual([pre, again, retryable], [post + fault, fault, fault], restarted.stdout);
    });
  });
