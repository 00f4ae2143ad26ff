import { writeSync } from "node:fs";
import { assertNever } from "../../base/assert-never.js";
import { ProbeRefused, TargetError, TargetGone, UsageError } from "../../base/errors.js";
import { ClosureOwner, type Closures } from "../../handlers/closures/owner-side.js";
import type { ExitStatus } from "../../targets/target.js";
import type { Where } from "../where.js";
import type { Kprobe } from "./kprobe.js";
import {
  type Command,
  type DescribedError,
  type EngineStart,
  MAXIMUM_PROBES,
  type Notice,
  type Reply,
} from "./protocol.js";
import { EngineLink } from "./engine-link.js";
import { RegisteredProbe } from "./registered-probe.js";
import { noteLaunched, refuseOwnChild } from "./own-child.js";
import { type Memories, RemoteMemories, TargetMemories } from "./target-memories.js";

/** A machine that was booted for one target, and the command that it was booted for. */
export interface Guest {
  /** Lets the command go. */
  readonly start: () => void;
  /** How it ended; undefined where the machine ended before. Never, where there is none. */
  readonly ended: Promise<ExitStatus | undefined>;
  /** Ends the machine. */
  readonly end: () => Promise<void>;
}

export interface TargetOptions {
  /** How long a handler may run before it is stopped and its probe disarmed; milliseconds. Default 1000. */
  readonly handlerLimit?: number;
  /** How long the caller's event loop may be busy before a hit is counted as missed; milliseconds. Default 1000. */
  readonly ownerLimit?: number;
  /** Receives what handlers print. Default: standard output. */
  readonly write?: (text: string) => void;
}

/** Starts a program, and holds it at its entry point, its libraries loaded, until {@link TracedTarget.run}. */
export async function launch(
  options: TargetOptions & { readonly command: readonly string[] },
): Promise<TracedTarget> {
  return TracedTarget.start({ kind: "launch", command: options.command }, options);
}

/**
 * Seizes a running process with all its threads; it goes on running.
 *
 * @throws TargetError it cannot be traced; the message says why
 */
export async function attach(options: TargetOptions & { readonly pid: number }): Promise<TracedTarget> {
  refuseOwnChild(options.pid);
  return TracedTarget.start({ kind: "attach", pid: options.pid }, options);
}

/**
 * Connects to a stub: that of a machine that runs a Linux kernel (QEMU's, or KGDB), which stands still for
 * a moment, and goes on; or gdbserver's, of a program, which is held at its entry point where gdbserver has
 * started it, and else goes on.
 *
 * @param options.connect `tcp:HOST:PORT`, `unix:PATH`, `/dev/ttyS0,115200`, `| COMMAND`
 * @param options.kernel  the image that the machine was booted from, a bzImage or a vmlinux; without one it
 *   is a program
 * @throws TargetError nobody is there, or something else
 */
export async function gdb(
  options: TargetOptions & { readonly connect: string; readonly kernel?: string },
): Promise<TracedTarget> {
  const { connect, kernel } = options;
  if (kernel === undefined) return TracedTarget.start({ kind: "stub-program", gdb: connect }, options);
  return TracedTarget.start(
    { kind: "kernel", gdb: connect, image: kernel, held: false, process: 0 },
    options,
  );
}

interface Pending {
  readonly command: Command;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * A target under trace. Its engine runs in a thread of its own; handlers run in this one, so they
 * see the caller's variables. Disposing detaches: the target goes on as it would have without us.
 */
export class TracedTarget implements AsyncDisposable {
  /** What there is to be known of the target and was not asked for, a sentence each: what is not traced, and why. */
  readonly warnings: string[];
  private readonly pending = new Map<number, Pending>();
  private readonly probes = new Map<number, RegisteredProbe>();
  private readonly memories: Memories;
  private readonly ended: Promise<ExitStatus | undefined>;
  private settleEnded!: (status: ExitStatus | undefined) => void;
  private failEnded!: (error: Error) => void;
  /** The engine has left the target, or is gone. */
  private over = false;
  /** How the command of a lab ended. */
  private guestStatus: ExitStatus | undefined;
  private nextProbe = 1;
  private readonly owner: ClosureOwner;

  private constructor(
    /** The process. */
    readonly pid: number,
    private readonly link: EngineLink,
    start: EngineStart,
    options: TargetOptions,
    warnings: readonly string[],
    private readonly guest: Guest | undefined,
  ) {
    this.warnings = [...warnings];
    this.ended = new Promise((resolve, reject) => {
      this.settleEnded = resolve;
      this.failEnded = reject;
    });
    // Who waits for the end is told; nobody has to.
    this.ended.catch(() => undefined);
    this.memories =
      start.kind === "launch" || start.kind === "attach"
        ? new TargetMemories(link.mailbox, `process ${String(pid)}`)
        : new RemoteMemories(link.mailbox);
    this.owner = new ClosureOwner(
      link.mailbox,
      (space, thread) => this.memories.of(space, thread),
      options.handlerLimit ?? HANDLER_LIMIT,
      options.write ?? writeToStandardOutput,
    );
    link.listen(
      (message) => {
        this.receive(message);
      },
      (why) => {
        this.fail(why);
      },
    );
    link.onDeparture = () => {
      this.owner.leave();
    };
  }

  /** @throws TargetError the target cannot be had */
  static async start(start: EngineStart, options: TargetOptions, guest?: Guest): Promise<TracedTarget> {
    const link = new EngineLink(start, {
      owner: milliseconds("ownerLimit", options.ownerLimit ?? OWNER_LIMIT),
      handler: milliseconds("handlerLimit", options.handlerLimit ?? HANDLER_LIMIT),
    });
    try {
      const { pid, warnings } = await firstNotice(link);
      if (start.kind === "launch") noteLaunched(pid);
      return new TracedTarget(pid, link, start, options, warnings, guest);
    } catch (error) {
      link.release();
      throw error;
    }
  }

  /**
   * Registers a probe; the instruction at the location is then watched at once. A probe on a symbol
   * follows the target into programs that it executes: it is armed there, at the program's entry
   * point, if the program or its libraries have the symbol. An address ends with its program; either
   * way `disarmedBecause` tells of a probe that is nowhere any more.
   *
   * @throws TargetError no such symbol
   * @throws ProbeRefused the instruction cannot take a probe: the message says why
   * @throws TargetGone the target has ended, or was detached from
   */
  async registerKprobe(kprobe: Kprobe): Promise<RegisteredProbe> {
    const where = whereOf(kprobe);
    const id = this.nextProbe++;
    if (id > MAXIMUM_PROBES) throw new UsageError(`more than ${String(MAXIMUM_PROBES)} probes in one target`);
    const name = kprobe.name ?? describe(where);
    const probe = new RegisteredProbe(
      name,
      id,
      this.link.counters,
      (command) => this.ask(command),
      () => {
        this.probes.delete(id);
        this.owner.remove(id);
      },
    );
    this.probes.set(id, probe);
    this.owner.add(id, closuresOf(kprobe, probe));
    try {
      await this.ask({
        kind: "register",
        probe: id,
        request: {
          name,
          where,
          phases: {
            pre: kprobe.preHandler !== undefined,
            post: kprobe.postHandler !== undefined,
            fault: kprobe.postFaultHandler !== undefined,
            faultHandler: kprobe.faultHandler !== undefined,
          },
          postOn: kprobe.postOn ?? "completion",
          maxCancelled: kprobe.maxcancelled ?? 100,
        },
      });
    } catch (error) {
      this.probes.delete(id);
      this.owner.remove(id);
      throw error;
    }
    return probe;
  }

  /**
   * Lets a launched target go, and waits until it has ended.
   *
   * @returns how its first process ended; undefined where we were not told
   */
  async run(): Promise<ExitStatus | undefined> {
    await this.go();
    return this.ended;
  }

  /** Lets a launched target go, and returns. */
  async go(): Promise<void> {
    await this.ask({ kind: "run" });
    const { guest } = this;
    if (guest === undefined) return;
    guest.start();
    // With its command a lab is over; the machine itself ends when it is disposed of.
    void guest.ended.then((status) => {
      this.guestStatus = status;
      void this.ask({ kind: "leave" });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.over) return;
      await this.ask({ kind: "leave" });
      await this.ended;
    } finally {
      await this.guest?.end();
    }
  }

  private async ask(command: Command): Promise<void> {
    if (this.over) {
      answerTooLate(command);
      return;
    }
    return new Promise<void>((resolve, reject) => {
      this.pending.set(this.link.send(command), { command, resolve, reject });
    });
  }

  private receive(message: Notice | Reply): void {
    switch (message.kind) {
      case "done":
        this.take(message.command)?.resolve();
        return;
      case "failed":
        this.take(message.command)?.reject(revive(message.error));
        return;
      case "visit":
        this.owner.visit();
        return;
      case "ended":
        this.settleEnded(this.guestStatus ?? message.status);
        this.finish();
        return;
      case "broken":
        this.fail(new Error(message.message));
        return;
      case "armed": {
        const probe = this.probes.get(message.probe);
        if (probe !== undefined) probe.disarmedBecause = undefined;
        return;
      }
      case "disarmed": {
        const probe = this.probes.get(message.probe);
        if (probe !== undefined) probe.disarmedBecause = message.why;
        return;
      }
      case "warning":
        this.warnings.push(message.text);
        return;
      case "handler-error":
        this.probes.get(message.probe)?.errors.push(message.message);
        return;
      case "ready":
      case "refused":
        return;
      default:
        assertNever(message);
    }
  }

  private take(number: number): Pending | undefined {
    const pending = this.pending.get(number);
    this.pending.delete(number);
    return pending;
  }

  /** Also after the end, to no effect. */
  private fail(error: Error): void {
    this.failEnded(error);
    this.finish();
  }

  /** The engine has left the target: what was asked and not answered is answered here. */
  private finish(): void {
    if (this.over) return;
    this.over = true;
    for (const { command, resolve, reject } of this.pending.values()) {
      try {
        answerTooLate(command);
        resolve();
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    }
    this.pending.clear();
    this.owner.close();
    this.memories.close();
    this.link.release();
  }
}

/** @throws TargetGone for what needs a target */
function answerTooLate(command: Command): void {
  switch (command.kind) {
    case "register":
    case "arm":
      throw new TargetGone(
        "the target has ended, or was detached from: nothing can be probed in it any more",
      );
    case "unregister":
    case "disarm":
    case "run":
    case "leave":
      return;
    default:
      assertNever(command);
  }
}

/** Milliseconds. */
const HANDLER_LIMIT = 1000;
const OWNER_LIMIT = 1000;

/** @throws UsageError */
function milliseconds(name: string, value: number): number {
  if (Number.isInteger(value) && value > 0 && value < 2 ** 31) return value;
  throw new UsageError(`${name}: a whole number of milliseconds above 0 is wanted, not ${String(value)}`);
}

function writeToStandardOutput(text: string): void {
  // Not process.stdout: it would make a pipe that the target shares non-blocking.
  writeSync(1, text);
}

function whereOf(kprobe: Kprobe): Where {
  if (kprobe.address !== undefined) {
    if (kprobe.symbolName !== undefined)
      throw new UsageError("a kprobe has a symbolName or an address, not both");
    return { kind: "address", address: BigInt(kprobe.address) + BigInt(kprobe.offset ?? 0) };
  }
  if (!Number.isSafeInteger(kprobe.offset ?? 0)) throw new UsageError("offset: a whole number is wanted");
  if (kprobe.symbolName === undefined) throw new UsageError("a kprobe needs a symbolName or an address");
  return { kind: "symbol", symbol: kprobe.symbolName, offset: kprobe.offset ?? 0, module: kprobe.module };
}

function describe(where: Where): string {
  if (where.kind === "address") return `0x${where.address.toString(16)}`;
  return where.offset === 0 ? where.symbol : `${where.symbol}+0x${where.offset.toString(16)}`;
}

function closuresOf(kprobe: Kprobe, probe: RegisteredProbe): Closures {
  return {
    name: probe.name,
    maxfault: kprobe.maxfault ?? 64,
    pre: (registers, kit, hit) => kprobe.preHandler?.(probe, registers, kit, hit),
    post: (registers, kit, hit) => kprobe.postHandler?.(probe, registers, kit, hit),
    fault: (registers, kit, hit) =>
      hit.fault === undefined ? undefined : kprobe.postFaultHandler?.(probe, registers, kit, hit.fault, hit),
    faultHandler: (fault, held) => kprobe.faultHandler?.(probe, fault, held),
  };
}

/** Waits for the engine's first word. @returns what it says of the target @throws TargetError it was refused */
async function firstNotice(link: EngineLink): Promise<Extract<Notice, { kind: "ready" }>> {
  return new Promise((resolve, reject) => {
    link.listen((notice) => {
      if (notice.kind === "ready") resolve(notice);
      else if (notice.kind === "refused") reject(revive(notice.error));
      else if (notice.kind === "broken") reject(new Error(notice.message));
      else reject(new TargetError("the target ended before it could be probed"));
    }, reject);
  });
}

function revive({ name, message, remedy, refused }: DescribedError): Error {
  if (refused !== undefined) return new ProbeRefused(refused.at, refused.reason, refused.detail);
  const options = remedy === undefined ? {} : { remedy };
  switch (name) {
    case "UsageError":
      return new UsageError(message, options);
    case "TargetGone":
      return new TargetGone(message, options);
    default:
      return new TargetError(message, options);
  }
}
