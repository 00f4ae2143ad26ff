import { accessSync, constants, readFileSync, statSync } from "node:fs";
import koffi from "koffi";
import { TargetError } from "../../base/errors.js";
import { CONTINUE, type ThreadId } from "../target.js";
import {
  ERRNO,
  SYS,
  SharedBytes,
  SystemCallList,
  closeFile,
  errorName,
  systemCall3,
  systemCall4,
} from "../system-calls.js";
import { type OpenFilesLimit, parseOpenFilesLimit } from "./open-files.js";
import { PTRACE, SEIZE_OPTIONS, ptrace } from "./ptrace.js";
import { LAST_SIGNAL, SIG } from "../signals.js";
import type { Tracer } from "./tracer.js";

export interface LaunchOptions {
  /** Environment; absent: ours, byte for byte. */
  readonly environment?: Readonly<Record<string, string>>;
}

const CLONE_VM = 0x100;
const STACK_BYTES = 64 * 1024;
const O_CLOEXEC = 0o2000000;
const F_SETFD = 2;
const RLIMIT_NOFILE = 7;
const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
const STANDARD_DESCRIPTORS = [0, 1, 2];

/** What the child does before exec, beyond one rt_sigaction a signal. */
const OTHER_CALLS = 10;

/**
 * Starts a program, traced and stopped before its first instruction, in the state that it would
 * have had from a shell. Node changed some of what a child inherits; this undoes it: ignored
 * SIGPIPE and SIGXFSZ, the signal mask, the raised limit of descriptors, close-on-exec on the
 * standard descriptors.
 *
 * The child is cloned into our address space and runs a list of system calls, nothing else: it
 * waits at a pipe until it is seized, and tells by the list why exec failed.
 *
 * @param argv program (looked up in PATH) and arguments
 * @returns its thread, stopped
 * @throws TargetError the program cannot be executed
 */
export function launch(tracer: Tracer, argv: readonly string[], options: LaunchOptions): ThreadId {
  const name = argv[0];
  if (name === undefined || name === "") throw new TargetError("no program to launch was given");
  const path = findProgram(name, options.environment?.["PATH"] ?? process.env["PATH"]);
  const pipe = new SharedBytes(8);
  const opened = systemCall3(SYS.pipe2, pipe.address, O_CLOEXEC, 0);
  if (opened < 0) throw new TargetError(`cannot launch ${path}: pipe: ${errorName(opened)}`);
  const [reading, writing] = [pipe.words[0] as number, pipe.words[1] as number]; // 8 bytes: two words

  const child = prepareChild(path, argv, options, reading, writing);
  const pid = withSignalsBlocked(() =>
    child.list.spawn(child.stack.address + STACK_BYTES, CLONE_VM | SIG.CHLD),
  );
  closeFile(reading);
  if (pid < 0) {
    closeFile(writing);
    throw new TargetError(`cannot launch ${path}: clone: ${errorName(pid)}`);
  }
  const seized = ptrace(PTRACE.SEIZE, pid, 0, SEIZE_OPTIONS);
  if (seized === 0) {
    tracer.book.add(pid as ThreadId, pid, tracer.book.newSpace());
    systemCall4(SYS.write, writing, pipe.address, 1, 0);
  }
  // Not seized, the child reads the end of the pipe and exits.
  closeFile(writing);
  if (seized < 0) {
    systemCall4(SYS.wait4, pid, 0, 0, 0);
    throw new TargetError(`cannot trace ${path}: ${errorName(seized)}`, {
      remedy:
        "allow ptrace for this process (containers: --cap-add=SYS_PTRACE or a seccomp profile that has it)",
    });
  }
  if (!untilExec(tracer, pid as ThreadId)) throw execError(path, child.list.result(child.exec));
  return pid as ThreadId;
}

interface Child {
  readonly list: SystemCallList;
  readonly stack: SharedBytes;
  /** Index of execve in the list. */
  readonly exec: number;
  /** Memory that the list points to: alive as long as this is. */
  readonly data: readonly SharedBytes[];
}

function prepareChild(
  path: string,
  argv: readonly string[],
  options: LaunchOptions,
  reading: number,
  writing: number,
): Child {
  const list = new SystemCallList(LAST_SIGNAL + OTHER_CALLS);
  const byte = new SharedBytes(8);
  const zeros = new SharedBytes(32); // struct sigaction of the kernel: SIG_DFL, no flags, no mask
  const program = new StringVector([path]);
  const args = new StringVector(argv);
  const environment =
    options.environment === undefined
      ? undefined
      : new StringVector(Object.entries(options.environment).map(([key, value]) => `${key}=${value}`));
  // Its own copy of the writing end would keep the pipe open.
  list.add(SYS.close, [writing], 0n);
  list.add(SYS.read, [reading, byte.address, 1], 1n);
  for (let signal = 1; signal <= LAST_SIGNAL; signal++)
    if (signal !== SIG.KILL && signal !== SIG.STOP)
      list.add(SYS.rt_sigaction, [signal, zeros.address, 0, 8], 0n);
  // A standard descriptor that is closed stays so.
  for (const descriptor of STANDARD_DESCRIPTORS) list.add(SYS.fcntl, [descriptor, F_SETFD, 0]);
  const limit = shellDescriptorLimit();
  if (limit !== undefined) list.add(SYS.prlimit64, [0, RLIMIT_NOFILE, limit.address, 0]);
  list.add(SYS.rt_sigprocmask, [SIG_SETMASK, zeros.address, 0, 8], 0n);
  const exec = list.add(SYS.execve, [
    program.firstString,
    args.address,
    environment?.address ?? ownEnvironment(),
  ]);
  const data = [byte, zeros, program.memory, args.memory];
  if (environment !== undefined) data.push(environment.memory);
  if (limit !== undefined) data.push(limit);
  return { list, stack: new SharedBytes(STACK_BYTES), exec, data };
}

/** A NULL-terminated `char *[]` and its strings, in one piece of memory. */
class StringVector {
  readonly memory: SharedBytes;
  readonly address: number;
  readonly firstString: number;

  constructor(strings: readonly string[]) {
    const encoded = strings.map((text) => Buffer.from(`${text}\0`));
    const pointers = 8 * (strings.length + 1);
    this.memory = new SharedBytes(pointers + encoded.reduce((sum, bytes) => sum + bytes.length, 0));
    this.address = this.memory.address;
    this.firstString = this.address + pointers;
    let at = pointers;
    for (const [index, bytes] of encoded.entries()) {
      this.memory.view.setBigUint64(8 * index, BigInt(this.address + at), true);
      this.memory.bytes.set(bytes, at);
      at += bytes.length;
    }
  }
}

/** The C library's `environ`: the bytes themselves, which JavaScript strings may not hold. */
function ownEnvironment(): number {
  // By the program, not by the C library: Node may hold the variable itself (a copy relocation).
  const symbol = koffi.load(null).symbol("environ") as bigint;
  return Number(koffi.decode(symbol, "uint64_t"));
}

/**
 * The limit of descriptors that our parent has: Node raised its own soft limit to the hard one.
 * @returns undefined where the parent's cannot be seen (another user's process)
 */
function shellDescriptorLimit(): SharedBytes | undefined {
  const own = openFilesLimit("self");
  const parents = openFilesLimit(process.ppid);
  if (own === undefined || parents === undefined) return undefined;
  const limit = new SharedBytes(16); // struct rlimit64
  const hard = own.hard;
  limit.view.setBigUint64(0, parents.soft < hard ? parents.soft : hard, true);
  limit.view.setBigUint64(8, hard, true);
  return limit;
}

function openFilesLimit(pid: number | "self"): OpenFilesLimit | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/limits`, "utf8");
  } catch {
    // Gone, or not ours to see: the caller does without.
    return undefined;
  }
  return parseOpenFilesLimit(text);
}

/** The child starts with our mask, and no handler of ours may ever run in it. */
function withSignalsBlocked<T>(action: () => T): T {
  const all = new SharedBytes(8);
  const before = new SharedBytes(8);
  all.bytes.fill(0xff);
  systemCall4(SYS.rt_sigprocmask, SIG_BLOCK, all.address, before.address, 8);
  try {
    return action();
  } finally {
    systemCall4(SYS.rt_sigprocmask, SIG_SETMASK, before.address, 0, 8);
  }
}

/** Lets the child run up to the exit of its exec. @returns false where it ended before */
function untilExec(tracer: Tracer, id: ThreadId): boolean {
  const others = [];
  let woken = false;
  try {
    for (;;) {
      const stop = tracer.wait(Infinity);
      if (stop === undefined) woken = true;
      else if (stop.thread !== id) others.push({ ...stop });
      else if (stop.kind === "exec") return true;
      else if (stop.kind === "thread-gone") return false;
      else tracer.resume(id, stop.kind === "signal" ? { kind: "deliver" } : CONTINUE);
    }
  } finally {
    for (const stop of others) tracer.later(stop);
    if (woken) tracer.waiter.passOn();
  }
}

/** Looks a program up as a shell does: execvp(3). */
function findProgram(name: string, path: string | undefined): string {
  if (name.includes("/")) return name;
  let denied: string | undefined;
  for (const folder of (path ?? "/usr/local/bin:/usr/bin:/bin").split(":")) {
    const candidate = folder === "" ? `./${name}` : `${folder}/${name}`;
    if (!isFile(candidate)) continue;
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // There but not executable: the search goes on, and this is the reason if nothing else is found.
      denied = candidate;
    }
  }
  throw execError(denied ?? name, denied === undefined ? -ERRNO.ENOENT : -ERRNO.EACCES);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // Not there, or in a folder of PATH that is not ours to search.
    return false;
  }
}

const EXEC_ERRORS: Readonly<Record<number, string>> = {
  [ERRNO.ENOENT]: "no such program",
  [ERRNO.ENOTDIR]: "no such program",
  [ERRNO.EACCES]: "permission denied (not an executable file, or a folder on the way may not be searched)",
  [ERRNO.ENOEXEC]: "exec format error (not an executable of this machine, or a script without a #! line)",
  [ERRNO.E2BIG]: "the arguments and the environment are too long",
  [ERRNO.ELOOP]: "too many symbolic links",
};

function execError(path: string, result: number): TargetError {
  if (result === 0) return new TargetError(`${path} was ended by a signal before it was executed`);
  return new TargetError(`cannot execute ${path}: ${EXEC_ERRORS[-result] ?? errorName(result)}`);
}
