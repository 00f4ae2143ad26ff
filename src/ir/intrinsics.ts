import type { ValueType } from "./ir.js";

/** What the runtime itself provides, by name as scripts call it. */
export interface Intrinsic {
  readonly parameters: readonly ("long" | "string")[];
  /** How many of the parameters may be left out, from the end. */
  readonly optional?: number;
  readonly returns: ValueType;
  /** Reads memory of the target with no answer of its own for a bad address: a handler fault. */
  readonly faults?: boolean;
}

const L = "long";
const S = "string";

function fn(parameters: readonly ("long" | "string")[], returns: ValueType, optional = 0): Intrinsic {
  return { parameters, returns, optional };
}

function memory(parameters: readonly ("long" | "string")[], returns: ValueType, optional = 0): Intrinsic {
  return { parameters, returns, optional, faults: true };
}

/** Each kind of memory has the same functions. */
function memoryFunctions(whose: "user" | "kernel"): Record<string, Intrinsic> {
  const strings: Record<string, Intrinsic> = {
    string: memory([L, S], S, 1),
    string2: fn([L, S], S),
    string_n: memory([L, L, S], S, 1),
    string_quoted: fn([L], S),
    string_n_quoted: fn([L, L], S),
    string_warn: fn([L, S], S, 1),
    string_n_warn: fn([L, L, S], S, 1),
  };
  const numbers = "char short ushort int uint long ulong int8 uint8 int16 uint16 int32 uint32 int64 uint64";
  const integers = numbers.split(" ").map((name) => [name, memory([L], L)] as const);
  const all = [...Object.entries(strings), ...integers];
  return Object.fromEntries(all.map(([name, intrinsic]) => [`${whose}_${name}`, intrinsic]));
}

/** SystemTap's tapset reference, chapters 2 (context), 3 (timestamps), 9 (strings), 14 (user-space data). */
export const INTRINSICS: Readonly<Record<string, Intrinsic>> = {
  // The hit.
  pid: fn([], L),
  tid: fn([], L),
  ppid: fn([], L),
  uid: fn([], L),
  euid: fn([], L),
  gid: fn([], L),
  cpu: fn([], L),
  execname: fn([], S),
  target: fn([], L),
  probefunc: fn([], S),
  pp: fn([], S),
  pn: fn([], S),
  ppfunc: fn([], S),
  uaddr: fn([], L),
  addr: fn([], L),
  is_return: fn([], L),
  usymname: fn([L], S),
  symname: fn([L], S),
  // Time.
  gettimeofday_ns: fn([], L),
  gettimeofday_us: fn([], L),
  gettimeofday_ms: fn([], L),
  gettimeofday_s: fn([], L),
  get_cycles: fn([], L),
  ctime: fn([L], S, 1),
  // Registers and arguments.
  register: fn([S], L),
  u_register: fn([S], L),
  int_arg: fn([L], L),
  uint_arg: fn([L], L),
  long_arg: fn([L], L),
  ulong_arg: fn([L], L),
  longlong_arg: fn([L], L),
  ulonglong_arg: fn([L], L),
  pointer_arg: fn([L], L),
  s32_arg: fn([L], L),
  s64_arg: fn([L], L),
  u32_arg: fn([L], L),
  u64_arg: fn([L], L),
  returnval: fn([], L),
  asmlinkage: fn([], "void"),
  fastcall: fn([], "void"),
  // Memory of the target.
  ...memoryFunctions("user"),
  ...memoryFunctions("kernel"),
  user_buffer_quoted: memory([L, L, L], S),
  kernel_buffer_quoted: fn([L, L, L], S, 1),
  kernel_buffer_quoted_error: memory([L, L, L], S, 1),
  kernel_pointer: memory([L], L),
  // Stacks and symbols.
  backtrace: fn([], S),
  ubacktrace: fn([], S),
  print_backtrace: fn([], "void"),
  print_ubacktrace: fn([], "void"),
  sprint_backtrace: fn([], S),
  sprint_ubacktrace: fn([], S),
  print_stack: fn([S], "void"),
  sprint_stack: fn([S], S),
  print_syms: fn([S], "void"),
  sprint_syms: fn([S], S),
  stack: fn([L], L),
  ustack: fn([L], L),
  caller: fn([], S),
  caller_addr: fn([], L),
  symdata: fn([L], S),
  usymdata: fn([L], S),
  modname: fn([L], S),
  probemod: fn([], S),
  task_current: fn([], L),
  // The instruction fault.
  faulted: fn([], L),
  fault_name: fn([], S),
  fault_address: fn([], L),
  fault_code: fn([], L),
  fault_retryable: fn([], L),
  fault_str: fn([], S),
  probe_retries: fn([], L),
  // System calls.
  syscall_name: fn([], S),
  syscall_nr: fn([], L),
  syscall_argument: fn([L], L),
  errno_str: fn([L], S),
  returnstr: fn([L], S),
  // The session.
  exit: fn([], "void"),
  error: fn([S], "void"),
  warn: fn([S], "void"),
  log: fn([S], "void"),
  ftrace: fn([S], "void"),
  // Strings.
  strlen: fn([S], L),
  substr: fn([S, L, L], S),
  isinstr: fn([S, S], L),
  strtol: fn([S, L], L),
  stringat: fn([S, L], L),
  str_replace: fn([S, S, S], S),
  text_str: fn([S], S),
  text_strn: fn([S, L, L], S),
  tokenize: fn([S, S], S),
  toupper: fn([S], S),
  tolower: fn([S], S),
  strpos: fn([S, S], L),
  randint: fn([L], L),
};

/** Naming one of these makes a probe without a phase word also run for instruction faults: row S12. */
export const FAULT_FUNCTIONS: ReadonlySet<string> = new Set([
  "faulted",
  "fault_name",
  "fault_address",
  "fault_code",
  "fault_retryable",
  "fault_str",
]);
