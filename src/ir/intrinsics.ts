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
  user_string: memory([L, S], S, 1),
  user_string2: fn([L, S], S),
  user_string_n: memory([L, L, S], S, 1),
  user_string_quoted: fn([L], S),
  user_string_n_quoted: fn([L, L], S),
  user_string_warn: fn([L, S], S, 1),
  user_string_n_warn: fn([L, L, S], S, 1),
  user_buffer_quoted: memory([L, L, L], S),
  user_char: memory([L], L),
  user_short: memory([L], L),
  user_ushort: memory([L], L),
  user_int: memory([L], L),
  user_uint: memory([L], L),
  user_long: memory([L], L),
  user_ulong: memory([L], L),
  user_int8: memory([L], L),
  user_uint8: memory([L], L),
  user_int16: memory([L], L),
  user_uint16: memory([L], L),
  user_int32: memory([L], L),
  user_uint32: memory([L], L),
  user_int64: memory([L], L),
  user_uint64: memory([L], L),
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
