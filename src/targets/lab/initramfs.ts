import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { TargetError } from "../../base/errors.js";
import { type CpioEntry, cpioArchive } from "./cpio.js";
import { initScript } from "./init-script.js";
import type { GuestModule } from "./modules.js";
import { needProgram } from "./programs.js";

/** A file for the guest. */
export interface GuestFile {
  readonly bytes: Uint8Array;
  /** Permissions; absent: readable by all. */
  readonly mode?: number;
}

export interface InitramfsContents {
  readonly mark: string;
  readonly modules: readonly GuestModule[];
  /** By absolute path in the guest. */
  readonly files: ReadonlyMap<string, GuestFile>;
}

/** What is there before devtmpfs is mounted, or where the kernel has none. Documentation/admin-guide/devices.txt. */
const DEVICES: readonly (readonly [name: string, major: number, minor: number])[] = [
  ["console", 5, 1],
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["kmsg", 1, 11],
  ["tty", 5, 0],
  ["ttyS0", 4, 64],
  ["ttyS1", 4, 65],
  ["ttyS2", 4, 66],
  ["ttyS3", 4, 67],
];

const FOLDERS = ["bin", "dev", "proc", "sys", "tmp", "run", "root", "etc", "lib", "lib/modules"];

/**
 * The guest's first root: busybox with all its applets, what they need, and what was asked for.
 *
 * @throws TargetError there is no busybox that runs alone
 */
export function initramfs({ mark, modules, files }: InitramfsContents): Uint8Array {
  const busybox = needProgram("busybox", "is the guest's programs");
  const program = readFileSync(busybox);
  if (needsInterpreter(program)) {
    throw new TargetError(`${busybox} needs libraries, which the guest has not`, {
      remedy: "apt-get install busybox-static",
    });
  }
  const names = modules.map(({ name }) => name);
  const folders = new Set(FOLDERS);
  for (const path of files.keys()) for (const folder of foldersAbove(relative(path))) folders.add(folder);
  const entries: CpioEntry[] = [
    ...[...folders].map((path): CpioEntry => ({ kind: "folder", path })),
    ...DEVICES.map(([name, major, minor]): CpioEntry => ({
      kind: "character-device",
      path: `dev/${name}`,
      major,
      minor,
    })),
    { kind: "file", path: "bin/busybox", bytes: program, mode: 0o755 },
    ...applets(busybox).map((name): CpioEntry => ({ kind: "link", path: `bin/${name}`, to: "busybox" })),
    { kind: "file", path: "etc/passwd", bytes: Buffer.from("root:x:0:0:root:/root:/bin/sh\n") },
    { kind: "file", path: "etc/group", bytes: Buffer.from("root:x:0:\n") },
    { kind: "file", path: "init", bytes: Buffer.from(initScript(mark, names)), mode: 0o755 },
    ...modules.map(({ name, bytes }): CpioEntry => ({ kind: "file", path: `lib/modules/${name}.ko`, bytes })),
    ...[...files].map(([path, { bytes, mode }]): CpioEntry => ({
      kind: "file",
      path: relative(path),
      bytes,
      mode: mode ?? 0o644,
    })),
  ];
  return cpioArchive(entries);
}

function relative(path: string): string {
  return path.replace(/^\/+/, "");
}

function foldersAbove(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

/** The names that this busybox answers to. */
function applets(busybox: string): string[] {
  const text = execFileSync(busybox, ["--list"], { encoding: "latin1", timeout: 30_000 });
  const names = text.split("\n").filter((name) => name !== "" && name !== "busybox");
  const missing = ["sh", "mount", "stty", "mkfifo", "insmod", "cat", "head", "poweroff"].filter(
    (name) => !names.includes(name),
  );
  if (missing.length === 0) return names;
  throw new TargetError(`${busybox} has no ${missing.join(", no ")}, which the guest needs`, {
    remedy: "apt-get install busybox-static",
  });
}

const PT_INTERP = 3;

/** Has a 64-bit ELF file a program header PT_INTERP? elf(5). */
function needsInterpreter(file: Buffer): boolean {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46) return false;
  const [table, size, count] = [
    Number(file.readBigUInt64LE(32)),
    file.readUInt16LE(54),
    file.readUInt16LE(56),
  ];
  for (let index = 0; index < count; index++)
    if (table + index * size + 4 <= file.length && file.readUInt32LE(table + index * size) === PT_INTERP)
      return true;
  return false;
}
