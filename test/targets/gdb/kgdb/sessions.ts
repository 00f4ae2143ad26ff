import type { Outcome } from "./recording.js";

/** A session that Trapline has with a kernel's KGDB. */
export interface KgdbSession {
  /** Of its recording, too: letters and dashes. */
  readonly name: string;
  /** What it is to show. */
  readonly shows: string;
  readonly script: string;
  readonly options?: readonly string[];
  /** Ends by Ctrl-C, as soon as this many lines were printed; else by itself. */
  readonly interruptedAfter?: number;
  readonly status: number;
  /** What it prints. */
  readonly stdout: RegExp;
  /** What it says on standard error. */
  readonly stderr: RegExp;
}

/** What the guest does all the time: somebody reads a small file, over and over. */
export const WORK = {
  file: "/root/greeting",
  text: "Good morning.\n",
  // Busybox's `cat` has the kernel copy, and reads nothing.
  command: "(while :; do md5sum /root/greeting; sleep 0.1; done) </dev/null >/dev/null 2>&1 &",
} as const;

const NOTHING = /^$/;
/** This kernel cannot unload modules, and has not the function that would tell. */
const NO_UNLOADING = /^WARNING: modules that are loaded from now on are not seen: .* free_module\n$/;
const READS = `kernel.function("vfs_read")`;
const BY_READER = `if (execname() != "md5sum") next`;

export const SESSIONS: readonly KgdbSession[] = [
  {
    name: "connect-and-leave",
    shows: "connects, finds the kernel and the task that runs, leaves",
    script: `probe begin { println("connected"); exit() }`,
    status: 0,
    stdout: /^connected\n$/,
    stderr: NOTHING,
  },
  {
    name: "count",
    shows: "a function's entries are counted",
    script: `global n
      probe ${READS} { ${BY_READER}; if (++n == 10) exit() }
      probe end { printf("%d reads by md5sum\\n", n) }`,
    status: 0,
    stdout: /^10 reads by md5sum\n$/,
    stderr: NO_UNLOADING,
  },
  {
    name: "path-of-file",
    shows: "the path out of $file, the types out of the kernel's BTF",
    script: `global n
      probe ${READS} {
        ${BY_READER}
        if (kernel_string($file->f_path->dentry->d_name->name) != "greeting") next
        printf("%s reads %s, %d bytes long\\n", execname(), fullpath_struct_file(task_current(), $file), $file->f_inode->i_size)
        if (++n == 2) exit()
      }`,
    status: 0,
    stdout: /^(md5sum reads \/root\/greeting, 14 bytes long\n){2}$/,
    stderr: NO_UNLOADING,
  },
  {
    name: "fenced",
    shows: "a fence catches a bad kernel_string; the statements behind it run",
    script: `global n
      probe ${READS} {
        try { printf("%s\\n", kernel_string(8)) } catch (why) { printf("caught: %s\\n", why) }
        println("and on")
        if (++n == 2) exit()
      }`,
    status: 0,
    stdout: /^(caught: .*fault.*0x0*8.*\nand on\n){2}$/,
    stderr: NO_UNLOADING,
  },
  {
    name: "unfenced",
    shows: "an unfenced bad kernel_string cancels the handler, quietly; one line tells it at the end",
    script: `global n, behind
      probe ${READS} { if (++n == 3) exit(); kernel_string(8); behind++ }
      probe end { printf("%d begun, %d ended\\n", n, behind) }`,
    status: 0,
    stdout: /^3 begun, 0 ended\n$/,
    stderr: /\n.*3 of 3 hits cancelled by a handler fault; the first: read fault at 0x8 .*\n$/,
  },
  {
    name: "returns",
    shows: "a histogram of what a function returns, each return matched with its entry",
    script: `global sizes, took, n
      probe ${READS}.return {
        ${BY_READER}
        sizes <<< $return
        took <<< gettimeofday_us() - @entry(gettimeofday_us())
        if (++n == 20) exit()
      }
      probe end {
        printf("%d returned, each later than it was entered: %d\\n", @count(sizes), @min(took) > 0)
        print(@hist_log(sizes))
      }`,
    status: 0,
    stdout: /^20 returned, each later than it was entered: 1\nvalue \|-+ count\n( +\d+ \|@* +\d+\n)+\n?$/,
    stderr: NO_UNLOADING,
  },
  {
    name: "too-many",
    shows: "KGDB has room for 1,000 breakpoints: more are refused in a sentence",
    script: `probe kernel.function("vfs_open") { println("a hit all the same"); exit() }
      probe kernel.function("acpi_*"), kernel.function("pci_*") { println("never") }
      probe kernel.function("vfs_read") { println("never") }`,
    status: 0,
    stdout: /^a hit all the same\n$/,
    stderr: /"vfs_read".*KGDB holds 1,000 breakpoints/,
  },
  {
    name: "fault-phase",
    shows: "KGDB does not tell that an instruction faulted: a fault phase is refused in a sentence",
    script: `probe fault ${READS} { println("never") }
      probe kernel.function("vfs_open") { println("a hit all the same"); exit() }`,
    status: 0,
    stdout: /^a hit all the same\n$/,
    stderr: /\n.*cannot probe 0x[0-9a-f]+: KGDB does not tell of an instruction's fault .*\n$/,
  },
  {
    name: "interrupted",
    shows: "Ctrl-C with breakpoints in: they are taken out, the report is printed, the kernel runs on",
    script: `global n
      probe ${READS}, kernel.function("vfs_open") { ${BY_READER}; if (++n <= 3) println("hit") }
      probe end { printf("ended, %s\\n", n >= 3 ? "after three hits or more" : "too early") }`,
    interruptedAfter: 3,
    status: 0,
    stdout: /^(hit\n){3}ended, after three hits or more\n$/,
    stderr: NO_UNLOADING,
  },
];

/** What a session did that it should not have; nothing where all is as expected. */
export function problems(session: KgdbSession, outcome: Outcome): readonly string[] {
  const found: string[] = [];
  if (outcome.status !== session.status)
    found.push(`its exit status is ${String(outcome.status)}, not ${String(session.status)}`);
  for (const stream of ["stdout", "stderr"] as const)
    if (!session[stream].test(outcome[stream]))
      found.push(`its ${stream} is not as expected (${String(session[stream])})`);
  return found;
}
