import { type ChildProcess, spawn } from "node:child_process";
import type { Duplex, Readable } from "node:stream";
import { PORTS } from "./init-script.js";
import { needProgram } from "./programs.js";

export interface MachineParts {
  readonly kernel: string;
  readonly initramfs: string;
  /** Where the machine's stub for GDB listens, a Unix socket. */
  readonly stub: string;
  /** The stub is the kernel's own, KGDB, on the console's port; else QEMU's. */
  readonly kgdb: boolean;
  readonly smp: number;
  /** MiB. */
  readonly memory: number;
  /** The kernel's command line. */
  readonly append: string;
  /** The machine lives on when we end. */
  readonly keep: boolean;
}

/** QEMU as a child, and the other ends of the machine's lines. */
export interface Qemu {
  readonly child: ChildProcess & { readonly pid: number };
  /** The serial ports, by number; undefined: one that is the kernel's own stub. */
  readonly ports: readonly (Duplex | undefined)[];
  /** QEMU's machine protocol. */
  readonly monitor: Duplex;
  /** What QEMU itself complains of. */
  readonly errors: Readable;
}

/** Interrupts of their own: two of the four would share with another. Linux hears of them through ACPI. */
const PORT_INTERRUPTS = [4, 3, 5, 7] as const;

/** Descriptors of the child behind the three standard ones. */
const FIRST_PORT = 3;
const MONITOR = FIRST_PORT + PORT_INTERRUPTS.length;

/** What QEMU calls the line of a port. */
export function portName(port: number): string {
  return `port${String(port)}`;
}

/**
 * Starts QEMU, in a session of its own: a Ctrl-C at the terminal is ours, not the machine's. Unless it is
 * kept, it is killed by the kernel when the thread that calls this ends, by whatever.
 *
 * @throws TargetError a program is missing
 */
export function startQemu(parts: MachineParts): Qemu {
  const qemu = needProgram("qemu-system-x86_64", "boots the kernel");
  const words = [qemu, ...qemuWords(parts)];
  const [program, ...rest] = parts.keep ? words : dyingWithUs(words);
  const stdio = ["ignore", "ignore", "pipe", ...Array<"pipe">(PORT_INTERRUPTS.length + 1).fill("pipe")];
  const child = spawn(program ?? qemu, rest, { detached: true, stdio: stdio as "pipe"[] });
  return {
    child: child as Qemu["child"],
    ports: PORT_INTERRUPTS.map((_, port) =>
      isStub(port, parts) ? undefined : (child.stdio[FIRST_PORT + port] as Duplex),
    ),
    monitor: child.stdio[MONITOR] as unknown as Duplex,
    errors: child.stderr,
  };
}

/** The death signal is set first and the parent compared then: it may have died in between. */
function dyingWithUs(words: readonly string[]): string[] {
  const setpriv = needProgram("setpriv", "lets the machine die with us");
  const script = '[ "$PPID" = "$1" ] && shift && exec "$@"';
  return [setpriv, "--pdeathsig", "KILL", "sh", "-c", script, "lab", String(process.pid), ...words];
}

function qemuWords(parts: MachineParts): string[] {
  const listening = `path=${escapedPath(parts.stub)},server=on,wait=off`;
  const ports = PORT_INTERRUPTS.flatMap((interrupt, port) => [
    "-chardev",
    `socket,id=${portName(port)},${isStub(port, parts) ? listening : `fd=${String(FIRST_PORT + port)}`}`,
    "-device",
    `isa-serial,index=${String(port)},irq=${String(interrupt)},chardev=${portName(port)}`,
  ]);
  const stub = parts.kgdb ? [] : ["-chardev", `socket,id=stub,${listening}`, "-gdb", "chardev:stub"];
  return [
    ...["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"],
    // Of the processor's abilities all but page tables of five levels, which only make every walk longer.
    ...["-machine", "pc", "-accel", "tcg", "-cpu", "max,la57=off"],
    ...["-m", String(parts.memory), "-smp", String(parts.smp)],
    ...["-kernel", parts.kernel, "-initrd", parts.initramfs, "-append", parts.append],
    ...ports,
    ...["-chardev", `socket,id=monitor,fd=${String(MONITOR)}`, "-mon", "chardev=monitor,mode=control"],
    ...stub,
  ];
}

function isStub(port: number, { kgdb }: MachineParts): boolean {
  return kgdb && port === PORTS.console;
}

/** In an option of QEMU a comma is written twice. */
function escapedPath(path: string): string {
  return path.replaceAll(",", ",,");
}
