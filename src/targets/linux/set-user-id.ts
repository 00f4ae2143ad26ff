import { closeSync, openSync, readSync, statSync } from "node:fs";
import { addressOf } from "../../base/address.js";
import { TargetGone } from "../../base/errors.js";
import { SYS, SharedBytes, systemCall3, systemCall4 } from "../system-calls.js";
import { readFacts } from "./facts.js";
import { isGone, readStatus } from "./process-files.js";
import type { Thread } from "./threads.js";

/*
 * A traced thread that executes a program with privileges of its own (set-user-ID, set-group-ID, file
 * capabilities) does not get them, unless its tracer has CAP_SYS_PTRACE. execve(2), "Effect on
 * effective credentials"; security/commoncap.c, cap_bprm_creds_from_file.
 */

const CAP_SYS_PTRACE = 19n;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o0010;
/** `struct statfs`: offset of f_flags; and the flag of a mount without such privileges. statfs(2). */
const STATFS_FLAGS_AT = 80;
const ST_NOSUID = 2;
/** access(2). */
const X_OK = 1;

let mayGrant: boolean | undefined;

/** Whether programs that we trace get their privileges: we have CAP_SYS_PTRACE. */
function grantsPrivileges(): boolean {
  mayGrant ??= ((readStatus(process.pid).mask("CapEff") >> CAP_SYS_PTRACE) & 1n) === 1n;
  return mayGrant;
}

type Privilege = "set-user-ID" | "set-group-ID" | "given capabilities by its file";

/**
 * Looks at a thread that is about to make execve or execveat; its registers are fetched.
 *
 * @param isAlone no other thread of its process lives: they would die of a call that we did not see through
 * @returns why it is to be let go first; undefined where there is no reason
 */
export function whyLetGo(thread: Thread, number: number, isAlone: boolean): string | undefined {
  if (grantsPrivileges() || !isAlone) return undefined;
  const path = pathOf(thread, number);
  const privilege = path === undefined ? undefined : privilegeOf(thread.id, path.seen);
  if (path === undefined || privilege === undefined) return undefined;
  return `process ${thread.process} is let go where it executes ${path.named}, which is ${privilege}: it would not have its privileges under a tracer without CAP_SYS_PTRACE`;
}

/** Of a thread that has just executed a program: what is to be said of privileges that it did not get. */
export function sayLost(thread: Thread): string | undefined {
  if (grantsPrivileges()) return undefined;
  const privilege = privilegeOf(thread.id, `/proc/${thread.id}/exe`);
  if (privilege === undefined) return undefined;
  return `process ${thread.process} executes ${readFacts(thread.id).executable}, which is ${privilege}, and runs without its privileges: its tracer has no CAP_SYS_PTRACE`;
}

interface ProgramPath {
  /** As the program names it. */
  readonly named: string;
  /** As we find it. */
  readonly seen: string;
}

const AT_FDCWD = -100;
const LONGEST_PATH = 4096;

function pathOf(thread: Thread, number: number): ProgramPath | undefined {
  const { registers } = thread;
  const at = number === SYS.execveat;
  const named = stringAt(thread, registers.read(at ? "rsi" : "rdi"));
  if (named === undefined) return undefined;
  if (named.startsWith("/")) return { named, seen: `/proc/${thread.id}/root${named}` };
  const folder = at ? Number(BigInt.asIntN(32, registers.read("rdi"))) : AT_FDCWD;
  const base = folder === AT_FDCWD ? "cwd" : `fd/${folder}`;
  return { named, seen: `/proc/${thread.id}/${base}${named === "" ? "" : `/${named}`}` };
}

function stringAt(thread: Thread, pointer: bigint): string | undefined {
  const at = addressOf(pointer);
  if (at === undefined) return undefined;
  const bytes = Buffer.alloc(LONGEST_PATH);
  const end = bytes.subarray(0, thread.space.memory.readSome(at, bytes)).indexOf(0);
  return end < 0 ? undefined : bytes.toString("utf8", 0, end);
}

/** @returns what a file that is there to be executed would give a thread that it has not */
function privilegeOf(thread: number, path: string): Privilege | undefined {
  try {
    const { mode, uid, gid } = statSync(path);
    const status = readStatus(thread);
    if (status.get("NoNewPrivs") === "1" || isWithoutPrivileges(path)) return undefined;
    if (!isExecutable(path) || isScript(path)) return undefined;
    const effective = (field: string): number => Number(status.text(field).split("\t")[1]);
    if ((mode & S_ISUID) !== 0 && uid !== effective("Uid")) return "set-user-ID";
    if ((mode & S_ISGID) !== 0 && (mode & S_IXGRP) !== 0 && gid !== effective("Gid")) return "set-group-ID";
    return hasCapabilities(path) ? "given capabilities by its file" : undefined;
  } catch (error) {
    // Not there, or not ours to look at: then execve says so, or nothing can be told.
    if (isGone(error) || error instanceof TargetGone || isDenied(error)) return undefined;
    throw error;
  }
}

/** Of a script the kernel executes the interpreter, with its privileges. One that cannot be read is none. */
function isScript(path: string): boolean {
  const bytes = Buffer.alloc(2);
  try {
    const file = openSync(path, "r");
    readSync(file, bytes);
    closeSync(file);
  } catch (error) {
    if (isDenied(error)) return false;
    throw error;
  }
  return bytes.toString("latin1") === "#!";
}

function isDenied(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "EACCES" || code === "EPERM" || code === "ENOTDIR" || code === "ELOOP";
}

const answer = new SharedBytes(128);

function isWithoutPrivileges(path: string): boolean {
  if (systemCall3(SYS.statfs, text(path).address, answer.address, 0) !== 0) return false;
  return (answer.view.getUint32(STATFS_FLAGS_AT, true) & ST_NOSUID) !== 0;
}

function isExecutable(path: string): boolean {
  return systemCall3(SYS.access, text(path).address, X_OK, 0) === 0;
}

function hasCapabilities(path: string): boolean {
  return systemCall4(SYS.getxattr, text(path).address, text("security.capability").address, 0, 0) > 0;
}

/** A string of C. */
function text(value: string): SharedBytes {
  const bytes = Buffer.from(`${value}\0`);
  const memory = new SharedBytes(bytes.length);
  memory.bytes.set(bytes);
  return memory;
}
