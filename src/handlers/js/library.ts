import { randomInt } from "node:crypto";
import {
  argumentLocation,
  readLocation,
  RETURN_VALUE_REGISTER,
  systemCallArgument,
} from "../../arch/x86_64/arguments.js";
import { readSigned, readUnsigned, registerPart } from "../../arch/x86_64/register-names.js";
import { NO_THREAD } from "../../probes/handler-calls.js";
import type { Key } from "../../runtime/arrays.js";
import type { LongArray, StringArray } from "../../runtime/arrays.js";
import { type ByteString, fromText, toText } from "../../runtime/byte-string.js";
import type { HandlerContext } from "../../runtime/context.js";
import { ScriptError } from "../../runtime/errors.js";
import { escapeString, textStrn } from "../../runtime/escape.js";
import { cString, type Format, type Value } from "../../runtime/format.js";
import { divide, remainder, shiftLeft, shiftRight, shiftRightUnsigned } from "../../runtime/integers.js";
import { deleteSlice, hasSlice, snapshot } from "../../runtime/sorting.js";
import { extract, histogramOf, type Statistic } from "../../runtime/statistics.js";
import * as strings from "../../runtime/strings.js";
import { errorText } from "./errno.js";
import { backtraces } from "./backtraces.js";
import { readBytes } from "./memory-reads.js";
import type { Scene } from "./scene.js";
import { targetBuffers, targetMemory } from "./target-memory.js";
import { typedMemory } from "./typed-memory.js";

/**
 * What generated code calls, by the name that it uses: the intrinsics of ir/intrinsics.ts and a few
 * helpers. Bound to one session's context.
 */
export function makeLibrary(k: HandlerContext, scene: Scene): Record<string, unknown> {
  return {
    ...operators(k),
    ...aboutTheHit(k, scene),
    ...clocks(scene),
    ...registersAndArguments(k, scene),
    ...targetMemory(k, "user"),
    ...targetMemory(k, "kernel"),
    ...targetBuffers(k),
    ...typedMemory(k, scene),
    ...backtraces(k, scene),
    ...faults(k),
    ...session(k),
    ...text(k),
  };
}

function operators(k: HandlerContext): Record<string, unknown> {
  const most = k.services.limits.MAXSTRINGLEN;
  const apply = (format: Format, values: readonly Value[]): ByteString =>
    format.apply(values, (address, length) => {
      const bytes = readBytes(k.readFault, k.thread, address, length);
      return typeof bytes === "string" ? bytes : k.raise();
    });
  return {
    divide,
    remainder,
    shiftLeft,
    shiftRight,
    shiftRightUnsigned,
    extract,
    snapshot,
    hasSlice,
    deleteSlice,
    renderHistogram: (statistic: Statistic | undefined) => histogramOf(statistic).render(k.services.limits),
    cut: (value: ByteString) => (value.length < most ? value : value.slice(0, most - 1)),
    format: apply,
    formatToString: (format: Format, values: readonly Value[]) => cString(apply(format, values), most),
    first: (old: unknown, _now: unknown) => old,
    store: <V extends bigint | string>(
      array: { set(value: V, ...keys: readonly Key[]): void },
      keys: readonly Key[],
      value: V,
    ) => {
      array.set(value, ...keys);
      return value;
    },
    update: (
      array: LongArray | StringArray,
      keys: readonly Key[],
      change: (old: bigint | string) => bigint | string,
      old: boolean,
    ) => {
      const before = array.get(...keys);
      const now = change(before);
      // The change keeps the type of what it was given: the script was checked.
      (array as { set(value: bigint | string, ...keys: readonly Key[]): void }).set(now, ...keys);
      return old ? before : now;
    },
  };
}

function aboutTheHit(k: HandlerContext, scene: Scene): Record<string, unknown> {
  return {
    pid: () => (k.hit.thread === NO_THREAD ? 0n : BigInt(scene.process(k.hit))),
    tid: () => (k.hit.thread === NO_THREAD ? 0n : BigInt(scene.thread(k.hit))),
    ppid: () => BigInt(k.thread.facts().parentProcess),
    uid: () => BigInt(k.thread.facts().user),
    euid: () => BigInt(k.thread.facts().user),
    gid: () => BigInt(k.thread.facts().group),
    cpu: () => BigInt(k.thread.facts().processor),
    execname: () => (k.hit.thread === NO_THREAD ? "" : fromText(k.hit.facts().name)),
    target: () => BigInt(scene.targetProcess),
    probefunc: () => fromText(scene.functionName(k.hit)),
    ppfunc: () => fromText(scene.functionName(k.hit)),
    pp: () => fromText(scene.pointName(k.hit)),
    pn: () => fromText(scene.pointName(k.hit)),
    uaddr: () => BigInt.asIntN(64, scene.probeAddress(k.hit)),
    addr: () => BigInt.asIntN(64, scene.probeAddress(k.hit)),
    is_return: () => (scene.isReturn(k.hit) ? 1n : 0n),
  };
}

function clocks(scene: Scene): Record<string, unknown> {
  // Wall-clock time at a moment of the target's clock: nanoseconds come from the latter.
  let origin: bigint | undefined;
  const now = (): bigint => {
    const clock = scene.clock();
    origin ??= BigInt(Date.now()) * 1_000_000n - clock;
    return origin + clock;
  };
  return {
    gettimeofday_ns: now,
    gettimeofday_us: () => now() / 1000n,
    gettimeofday_ms: () => now() / 1_000_000n,
    gettimeofday_s: () => now() / 1_000_000_000n,
    // The time-stamp counter cannot be read from here; nanoseconds are as monotonic and as fine.
    get_cycles: () => scene.clock(),
    ctime: (seconds: bigint) => new Date(Number(seconds) * 1000).toString().slice(0, 24),
  };
}

function registersAndArguments(k: HandlerContext, scene: Scene): Record<string, unknown> {
  const part = (name: ByteString) => {
    const found = registerPart(name);
    if (found === undefined) throw new ScriptError(`unknown register: ${name}`);
    return found;
  };
  const argument = (number: bigint): bigint => {
    const n = Number(number);
    const hit = k.thread;
    if (n < 1 || n > 64) throw new ScriptError(`invalid argument number: ${number.toString()}`);
    const call = scene.systemCall(hit);
    const known = call?.arguments?.[n - 1];
    if (known !== undefined) return known;
    const register = call === undefined ? undefined : systemCallArgument(n);
    return register === undefined
      ? readLocation(argumentLocation(n), hit.registers, hit.memory)
      : hit.registers.read(register);
  };
  const signed = (bits: number) => (number: bigint) => BigInt.asIntN(bits, argument(number));
  // A script's long is signed: an unsigned argument of 64 bits keeps its bits.
  const unsigned = (bits: number) => (number: bigint) =>
    BigInt.asIntN(64, BigInt.asUintN(bits, argument(number)));
  return {
    register: (name: ByteString) => readSigned(k.thread.registers, part(name)),
    u_register: (name: ByteString) => BigInt.asIntN(64, readUnsigned(k.thread.registers, part(name))),
    int_arg: signed(32),
    s32_arg: signed(32),
    uint_arg: unsigned(32),
    u32_arg: unsigned(32),
    long_arg: signed(64),
    longlong_arg: signed(64),
    s64_arg: signed(64),
    ulong_arg: unsigned(64),
    ulonglong_arg: unsigned(64),
    u64_arg: unsigned(64),
    pointer_arg: unsigned(64),
    returnval: () => BigInt.asIntN(64, k.thread.registers.read(RETURN_VALUE_REGISTER)),
    asmlinkage: () => undefined,
    fastcall: () => undefined,
    syscall_argument: argument,
    syscall_name: () => fromText(scene.systemCall(k.hit)?.name ?? ""),
    syscall_nr: () => BigInt(scene.systemCall(k.hit)?.number ?? -1),
    errno_str: (number: bigint) => fromText(errorText(Number(number))),
    returnstr: (_format: bigint) => {
      const value = BigInt.asIntN(64, k.thread.registers.read(RETURN_VALUE_REGISTER));
      return value < 0n && value > -4096n
        ? fromText(`${value.toString()} (${errorText(Number(-value))})`)
        : value.toString();
    },
  };
}

function faults(k: HandlerContext): Record<string, unknown> {
  const long = (value: boolean): bigint => (value ? 1n : 0n);
  return {
    faulted: () => long(k.hit.fault !== undefined),
    fault_name: () => k.hit.fault?.name ?? "",
    fault_address: () => BigInt.asIntN(64, k.hit.fault?.address ?? 0n),
    fault_code: () => BigInt(k.hit.fault?.code ?? 0),
    fault_retryable: () => long(k.hit.fault?.retryable === true),
    fault_str: () => {
      const { fault } = k.hit;
      if (fault === undefined) return "";
      const at = fault.address === undefined ? "" : ` at 0x${fault.address.toString(16)}`;
      return `${fault.name}${at} (code ${String(fault.code)})`;
    },
    probe_retries: () => BigInt(k.hit.retries),
  };
}

function session(k: HandlerContext): Record<string, unknown> {
  return {
    exit: () => {
      k.services.exit();
    },
    error: (message: ByteString) => {
      throw new ScriptError(message, undefined);
    },
    warn: (message: ByteString) => {
      k.services.warn(message);
    },
    log: (message: ByteString) => {
      k.services.log(message);
    },
    ftrace: (message: ByteString) => {
      k.services.log(message);
    },
  };
}

function text(k: HandlerContext): Record<string, unknown> {
  const most = k.services.limits.MAXSTRINGLEN;
  const tokenizer = new strings.Tokenizer();
  return {
    strlen: strings.strlen,
    substr: strings.substr,
    isinstr: strings.isinstr,
    strtol: strings.strtol,
    stringat: strings.stringat,
    strpos: strings.strpos,
    str_replace: (value: ByteString, part: ByteString, by: ByteString) =>
      strings.str_replace(value, part, by, most),
    text_str: (value: ByteString) => escapeString(value, { maxStringLength: most, quoted: false }),
    text_strn: (value: ByteString, length: bigint, quotes: bigint) => textStrn(value, length, quotes, most),
    tokenize: (value: ByteString, delimiters: ByteString) => tokenizer.next(value, delimiters),
    toupper: (value: ByteString) => fromText(toText(value).toUpperCase()),
    tolower: (value: ByteString) => fromText(toText(value).toLowerCase()),
    randint: (bound: bigint) =>
      bound <= 0n ? 0n : BigInt(randomInt(Number(bound < 2n ** 47n ? bound : 2n ** 47n))),
  };
}
