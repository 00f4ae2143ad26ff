import koffi from "koffi";
import os from "node:os";

/**
 * System calls without a wrapper in between: results are the kernel's own, `-errno` on failure, so
 * that no other code of the process can overwrite an errno before it is looked at.
 *
 * A page of machine code does it, mapped once and never unmapped (signal handlers and child
 * processes use it): JavaScript has no other way to run code in a cloned child before its exec.
 */

/**
 * System V AMD64 calling convention; Linux x86-64 system call convention (syscall(2)).
 * The offsets in {@link CODE_OFFSETS} are those of the labels.
 */
// prettier-ignore
const CODE = Uint8Array.of(
  // call: long call(long number, long a1 … a6)
  0x48, 0x89, 0xf8,              //   mov rax, rdi
  0x48, 0x89, 0xf7,              //   mov rdi, rsi
  0x48, 0x89, 0xd6,              //   mov rsi, rdx
  0x48, 0x89, 0xca,              //   mov rdx, rcx
  0x4d, 0x89, 0xc2,              //   mov r10, r8
  0x4d, 0x89, 0xc8,              //   mov r8, r9
  0x4c, 0x8b, 0x4c, 0x24, 0x08,  //   mov r9, [rsp+8]
  0x0f, 0x05,                    //   syscall
  0xc3,                          //   ret
  // handler: void handler(int), does nothing
  0xc3,                          //   ret
  0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
  // list: int list(struct entry *first, int count), returns how many entries were not done
  0x53,                          //   push rbx
  0x55,                          //   push rbp
  0x48, 0x89, 0xfb,              //   mov rbx, rdi
  0x89, 0xf5,                    //   mov ebp, esi
  0x8b, 0x03,                    // 1: mov eax, [rbx]
  0x48, 0x8b, 0x7b, 0x08,        //   mov rdi, [rbx+8]
  0x48, 0x8b, 0x73, 0x10,        //   mov rsi, [rbx+16]
  0x48, 0x8b, 0x53, 0x18,        //   mov rdx, [rbx+24]
  0x4c, 0x8b, 0x53, 0x20,        //   mov r10, [rbx+32]
  0x4c, 0x8b, 0x43, 0x28,        //   mov r8, [rbx+40]
  0x4c, 0x8b, 0x4b, 0x30,        //   mov r9, [rbx+48]
  0x0f, 0x05,                    //   syscall
  0x48, 0x89, 0x43, 0x38,        //   mov [rbx+56], rax
  0x48, 0x3b, 0x43, 0x40,        //   cmp rax, [rbx+64]
  0x7c, 0x08,                    //   jl 2f
  0x48, 0x83, 0xc3, 0x48,        //   add rbx, 72
  0xff, 0xcd,                    //   dec ebp
  0x75, 0xd2,                    //   jnz 1b
  0x89, 0xe8,                    // 2: mov eax, ebp
  0x5d,                          //   pop rbp
  0x5b,                          //   pop rbx
  0xc3,                          //   ret
  0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
  // spawn: long spawn(struct entry *first, int count, void *stack, long flags): clone(2); the child
  // runs the list and, should it come back from it, exits with status 127
  0x53,                          //   push rbx
  0x55,                          //   push rbp
  0x48, 0x89, 0xfb,              //   mov rbx, rdi
  0x89, 0xf5,                    //   mov ebp, esi
  0x48, 0x89, 0xd6,              //   mov rsi, rdx
  0x48, 0x89, 0xcf,              //   mov rdi, rcx
  0x31, 0xd2,                    //   xor edx, edx
  0x45, 0x31, 0xd2,              //   xor r10d, r10d
  0x45, 0x31, 0xc0,              //   xor r8d, r8d
  0xb8, 0x38, 0x00, 0x00, 0x00,  //   mov eax, 56 (clone)
  0x0f, 0x05,                    //   syscall
  0x48, 0x85, 0xc0,              //   test rax, rax
  0x74, 0x03,                    //   jz 3f
  0x5d,                          //   pop rbp
  0x5b,                          //   pop rbx
  0xc3,                          //   ret
  0x48, 0x89, 0xdf,              // 3: mov rdi, rbx
  0x89, 0xee,                    //   mov esi, ebp
  0xe8, 0x92, 0xff, 0xff, 0xff,  //   call list
  0xbf, 0x7f, 0x00, 0x00, 0x00,  //   mov edi, 127
  0xb8, 0xe7, 0x00, 0x00, 0x00,  //   mov eax, 231 (exit_group)
  0x0f, 0x05,                    //   syscall
);
const CODE_OFFSETS = { call: 0, handler: 26, list: 32, spawn: 96 } as const;

/** Numbers of system calls. arch/x86/entry/syscalls/syscall_64.tbl. */
export const SYS = {
  read: 0,
  write: 1,
  close: 3,
  poll: 7,
  mmap: 9,
  mprotect: 10,
  munmap: 11,
  rt_sigaction: 13,
  rt_sigprocmask: 14,
  rt_sigreturn: 15,
  ioctl: 16,
  pread64: 17,
  pwrite64: 18,
  access: 21,
  mremap: 25,
  getpid: 39,
  socket: 41,
  connect: 42,
  socketpair: 53,
  setsockopt: 54,
  getsockopt: 55,
  clone: 56,
  execve: 59,
  wait4: 61,
  kill: 62,
  fcntl: 72,
  ftruncate: 77,
  ptrace: 101,
  sched_setscheduler: 144,
  sched_getscheduler: 145,
  statfs: 137,
  prctl: 157,
  gettid: 186,
  getxattr: 191,
  sched_setaffinity: 203,
  sched_getaffinity: 204,
  restart_syscall: 219,
  timer_create: 222,
  timer_settime: 223,
  timer_delete: 226,
  exit_group: 231,
  tgkill: 234,
  waitid: 247,
  openat: 257,
  pipe2: 293,
  rt_tgsigqueueinfo: 297,
  prlimit64: 302,
  process_vm_readv: 310,
  process_vm_writev: 311,
  kcmp: 312,
  memfd_create: 319,
  execveat: 322,
  clone3: 435,
} as const;

/** Numbers of errors, positive; a failing call returns the negated one. */
export const ERRNO = os.constants.errno;

const ERROR_NAMES = new Map(Object.entries(ERRNO).map(([name, number]) => [number, name]));

/** `"EPERM"` for `-1` (or 1). */
export function errorName(result: number): string {
  return ERROR_NAMES.get(Math.abs(result)) ?? `error ${Math.abs(result)}`;
}

/** Memory that the kernel writes to and JavaScript reads: an array buffer and where it is. */
export class SharedBytes {
  readonly buffer: ArrayBuffer;
  /** Address in this process. Backing stores of array buffers never move. */
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Int32Array;

  constructor(length: number) {
    this.buffer = new ArrayBuffer(Math.ceil(length / 8) * 8);
    this.address = Number(koffi.address(this.buffer));
    this.bytes = new Uint8Array(this.buffer);
    this.view = new DataView(this.buffer);
    this.words = new Int32Array(this.buffer);
  }
}

const PAGE = 4096;
const PROT_READ_WRITE = 3;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS = 0x22;

interface Code {
  readonly call: (number: number, ...args: readonly number[]) => number;
  readonly call3: (number: number, a: number, b: number, c: number) => number;
  readonly call4: (number: number, a: number, b: number, c: number, d: number) => number;
  readonly transfer: (number: number, a: number, bytes: Uint8Array, b: number, c: number) => number;
  readonly list: (first: number, count: number) => number;
  readonly spawn: (first: number, count: number, stack: number, flags: number) => number;
  readonly handler: number;
}

function mapCode(): Code {
  const libc = koffi.load("libc.so.6");
  const mmap = libc.func("long mmap(long, long, int, int, int, long)") as (...args: number[]) => number;
  const mprotect = libc.func("int mprotect(long, long, int)") as (...args: number[]) => number;
  const memcpy = libc.func("long memcpy(long, void *, long)") as (
    to: number,
    from: Uint8Array,
    length: number,
  ) => number;
  const page = mmap(0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  if (page === -1) throw new Error("no memory for a page of machine code");
  memcpy(page, CODE, CODE.length);
  if (mprotect(page, PAGE, PROT_READ_EXEC) !== 0)
    throw new Error("this system does not let a process make memory executable (mprotect)");
  const at = (offset: number, result: string, args: readonly string[]): unknown =>
    koffi.decode(BigInt(page + offset), koffi.proto(result, [...args]));
  const longs = (count: number): string[] => Array.from({ length: count }, () => "long");
  return {
    // koffi's functions are untyped; each is given the type of the prototype beside it.
    call: at(CODE_OFFSETS.call, "long", longs(7)) as Code["call"],
    call3: at(CODE_OFFSETS.call, "long", longs(4)) as Code["call3"],
    call4: at(CODE_OFFSETS.call, "long", longs(5)) as Code["call4"],
    transfer: at(CODE_OFFSETS.call, "long", ["long", "long", "void *", "long", "long"]) as Code["transfer"],
    list: at(CODE_OFFSETS.list, "int", ["long", "int"]) as Code["list"],
    spawn: at(CODE_OFFSETS.spawn, "long", ["long", "int", "long", "long"]) as Code["spawn"],
    handler: page + CODE_OFFSETS.handler,
  };
}

const code = mapCode();

/** A system call of up to six arguments. @returns the kernel's result, `-errno` on failure */
export function systemCall(number: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  return code.call(number, a, b, c, d, e, f);
}

/** As {@link systemCall}, of three arguments: cheaper. */
export const systemCall3 = code.call3;
/** As {@link systemCall}, of four arguments: cheaper. */
export const systemCall4 = code.call4;
/** As {@link systemCall}, of four arguments whose second is memory of ours, e.g. `pread64`. */
const systemCallWithBytes = code.transfer;

/** Address of a C function that returns at once: a signal handler whose only effect is EINTR. */
export const HARMLESS_HANDLER = code.handler;

const ENTRY_WORDS = 9;
const RESULT_WORD = 7;
const MINIMUM_WORD = 8;
const NO_MINIMUM = -(2n ** 63n);

/**
 * System calls as data, done in one go by machine code: for the hot path, where each crossing from
 * JavaScript costs as much as a system call, and for a cloned child, which can run nothing else.
 */
export class SystemCallList {
  private readonly memory: SharedBytes;
  private readonly entries: BigInt64Array;
  private used = 0;

  constructor(private readonly capacity: number) {
    this.memory = new SharedBytes(capacity * ENTRY_WORDS * 8);
    this.entries = new BigInt64Array(this.memory.buffer);
  }

  get length(): number {
    return this.used;
  }

  /**
   * Appends a call.
   * @param minimum the list ends here when the call's result is smaller
   * @returns its index
   */
  add(number: number, args: readonly number[], minimum: bigint = NO_MINIMUM): number {
    if (this.used === this.capacity) throw new Error("list of system calls is full");
    const base = this.used * ENTRY_WORDS;
    this.entries[base] = BigInt(number);
    for (let i = 0; i < 6; i++) this.entries[base + 1 + i] = BigInt(args[i] ?? 0);
    this.entries[base + MINIMUM_WORD] = minimum;
    return this.used++;
  }

  /** Changes an argument (from 1) of a call in the list to a small number (0 … 2³¹−1); allocates nothing. */
  setSmall(index: number, argument: number, value: number): void {
    const word = 2 * (index * ENTRY_WORDS + argument);
    this.memory.words[word] = value;
    this.memory.words[word + 1] = 0;
  }

  /** As {@link setSmall} for any 64-bit value, given by its halves. */
  setHalves(index: number, argument: number, low: number, high: number): void {
    const word = 2 * (index * ENTRY_WORDS + argument);
    this.memory.words[word] = low;
    this.memory.words[word + 1] = high;
  }

  /** As {@link setSmall} for any address of ours. */
  set(index: number, argument: number, value: number): void {
    this.setHalves(index, argument, value | 0, Math.floor(value / 2 ** 32));
  }

  /** Result of a call whose results fit 32 bits; allocates nothing. */
  result(index: number): number {
    return this.memory.words[2 * (index * ENTRY_WORDS + RESULT_WORD)] as number;
  }

  /** Does the first `count` calls. @returns how many were not reached, the failing one included */
  run(count: number = this.used): number {
    return code.list(this.memory.address, count);
  }

  /** clone(2) with these flags; the child does the list on `stack`, then exits with 127. @returns its PID */
  spawn(stack: number, flags: number): number {
    return code.spawn(this.memory.address, this.used, stack, flags);
  }
}

/** Opens a file close-on-exec. @returns descriptor or `-errno` */
export function openFile(path: string, flags: number): number {
  const AT_FDCWD = -100;
  const O_CLOEXEC = 0o2000000;
  return systemCallWithBytes(SYS.openat, AT_FDCWD, Buffer.from(`${path}\0`), flags | O_CLOEXEC, 0);
}

export function closeFile(descriptor: number): void {
  systemCall3(SYS.close, descriptor, 0, 0);
}
