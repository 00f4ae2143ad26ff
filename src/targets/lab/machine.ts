import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { TargetError } from "../../base/errors.js";
import { checkBootImage } from "./boot-image.js";
import type { CommandSinks, GuestCommand } from "./guest-command.js";
import { GuestLine } from "./guest-line.js";
import { commandPieces, PORTS } from "./init-script.js";
import { initramfs, type GuestFile } from "./initramfs.js";
import { packagedKernel } from "./kernel-package.js";
import { LabFolder } from "./lab-folder.js";
import { type MachineEnd, panicMessage } from "./machine-end.js";
import { MachineProtocol } from "./machine-protocol.js";
import { MarkedOutput } from "./marked-output.js";
import { modulesFolder } from "./modules-folder.js";
import { modulesInOrder } from "./modules.js";
import { needProgram } from "./programs.js";
import { portName, type Qemu, startQemu } from "./qemu.js";

export interface LabOptions {
  /** A kernel image; absent: Debian's for virtual machines, fetched once. */
  readonly kernel?: string;
  /** Processors; absent: 1. */
  readonly smp?: number;
  /** MiB; absent: 512. */
  readonly memory?: number;
  /** Words for the kernel's command line, "nokaslr". */
  readonly append?: string;
  /** Modules to load, with what they depend on. */
  readonly modules?: readonly string[];
  /** Files for the guest, by absolute path. */
  readonly files?: ReadonlyMap<string, GuestFile>;
  /**
   * The stub is the kernel's own, KGDB, on the line that is the guest's console too: whoever connects to it
   * sees what the console says. Its kernel needs CONFIG_KGDB_SERIAL_CONSOLE. Default: QEMU's.
   */
  readonly kgdb?: boolean;
  /** The machine lives on when we end; else it does not, however we end. */
  readonly keep?: boolean;
  /** What the guest's console says, as it comes. */
  readonly console?: (bytes: Uint8Array) => void;
  /** What is about to take a while. */
  readonly tell?: (sentence: string) => void;
  /** Milliseconds until the guest must be ready. */
  readonly patience?: number;
  /** Ends the machine, also while it boots. */
  readonly signal?: AbortSignal;
}

/** What every machine needs of this one. */
const NEEDED = [
  ["qemu-system-x86_64", "boots the kernel"],
  ["busybox", "is the guest's programs"],
] as const;

const MEMORY = 512;
/** An emulated machine is up in three seconds; on a busy one in twenty. */
const PATIENCE = 180_000;
/** How long a machine that has been killed may take to be gone. */
const DEATH_MILLISECONDS = 10_000;
/** How long the outputs of a command may stay open, by programs that it left behind. */
const LEFT_BEHIND_MILLISECONDS = 2000;
const CONSOLE_BYTES = 1 << 16;

/**
 * Boots a kernel in QEMU, with a small root of our own, up to where a command can be run in it. Belongs to
 * the thread that boots it: the machine does not outlive it.
 *
 * @throws TargetError what is missing, what QEMU complains of, or how the guest ended before it was ready
 */
export async function bootLab(options: LabOptions = {}): Promise<LabMachine> {
  // Before a kernel is fetched for nothing.
  for (const [program, use] of NEEDED) needProgram(program, use);
  const packaged =
    options.kernel === undefined ? await packagedKernel(options.tell ?? (() => undefined)) : undefined;
  const kernel = options.kernel ?? packaged?.image ?? "";
  checkBootImage(kernel);
  const wanted = options.modules ?? [];
  const modules =
    wanted.length === 0 ? [] : await modulesInOrder(packaged?.modules ?? modulesFolder(kernel), wanted);
  const mark = `trapline-end-${randomBytes(16).toString("hex")}`;
  const root = initramfs({ mark, modules, files: options.files ?? new Map<string, GuestFile>() });
  const folder = LabFolder.make();
  try {
    writeFileSync(folder.initramfs, root);
    const qemu = startQemu({
      kernel,
      initramfs: folder.initramfs,
      stub: folder.stub,
      smp: options.smp ?? 1,
      memory: options.memory ?? MEMORY,
      append: commandLine(options),
      kgdb: options.kgdb ?? false,
      keep: options.keep ?? false,
    });
    const machine = new LabMachine(qemu, folder, kernel, Buffer.from(mark), options);
    try {
      await machine.ready(options.patience ?? PATIENCE);
      return machine;
    } catch (error) {
      await machine.end();
      throw error;
    }
  } catch (error) {
    folder.remove();
    throw error;
  }
}

function commandLine({ kgdb, append }: LabOptions): string {
  const line = `ttyS${String(PORTS.console)}`;
  const words = [`console=${line}`, "quiet", "panic=-1"];
  // The interrupt that a BREAK and a letter are is heard on the line of a console alone.
  if (kgdb === true) words.push(`kgdboc=${line},115200`);
  return [...words, ...(append === undefined || append === "" ? [] : [append])].join(" ");
}

/** A booted kernel. Disposing ends the machine and removes all that it had. */
export class LabMachine implements AsyncDisposable {
  private readonly protocol: MachineProtocol;
  private consoleText = "";
  private complaints = "";
  private readonly line: GuestLine;
  private outputs: { readonly output: MarkedOutput; readonly error: MarkedOutput } | undefined;
  private endedByUs = false;
  private how: MachineEnd | undefined;
  private readonly atExit = (): void => {
    this.folder.remove();
  };
  /** Settles when the machine is gone. */
  readonly ended: Promise<MachineEnd>;

  /** @internal {@link bootLab} makes them. */
  constructor(
    private readonly qemu: Qemu,
    private readonly folder: LabFolder,
    /** The image that was booted. */
    readonly kernel: string,
    private readonly mark: Buffer,
    options: LabOptions,
  ) {
    this.protocol = new MachineProtocol(qemu.monitor);
    this.ended = this.endOfQemu();
    this.line = new GuestLine({
      ports: qemu.ports,
      pid: qemu.child.pid,
      ended: this.ended,
      console: () => this.consoleText,
    });
    this.listen(options);
    options.signal?.addEventListener("abort", this.kill);
    if (options.signal?.aborted === true) this.kill();
    if (options.keep !== true) process.once("exit", this.atExit);
  }

  /** QEMU's process id. */
  get pid(): number {
    return this.qemu.child.pid;
  }

  /** The Unix socket of the machine's stub for GDB. */
  get stub(): string {
    return this.folder.stub;
  }

  /** How the machine ended; undefined: it lives. */
  get gone(): MachineEnd | undefined {
    return this.how;
  }

  /** The last that the guest's console said. */
  get console(): string {
    return this.consoleText;
  }

  /** @internal Waits until the guest can be given a command. */
  async ready(patience: number): Promise<void> {
    this.folder.belongsTo(this.qemu.child.pid);
    await this.line.answer("ready", patience, "the guest's kernel did not come up");
    rmSync(this.folder.initramfs, { force: true });
  }

  /**
   * Gets a command ready, up to the point before its exec: whoever wants to arm probes does so then.
   *
   * @param command for the guest's shell
   * @param terminal its output is a terminal; else pipes, as most programs of ours have
   * @throws TargetError it is none that a shell could be given, or the guest does not take it
   */
  async load(command: string, sinks: CommandSinks, terminal = false): Promise<GuestCommand> {
    if (this.outputs !== undefined) throw new TargetError("the guest runs a command already");
    this.outputs = {
      output: new MarkedOutput(this.mark, sinks.output),
      error: new MarkedOutput(this.mark, sinks.error),
    };
    const pid = await this.give(command, terminal);
    let start: () => void = () => undefined;
    const started = new Promise<void>((resolve) => {
      start = resolve;
    });
    const ended = this.toEnd(started);
    // Whoever never starts it need not look at how it ended.
    ended.catch(() => undefined);
    return {
      pid,
      start: () => {
        // At once: the caller may block this thread from now on.
        this.line.say("go");
        start();
      },
      ended,
    };
  }

  /** Runs a command to its end. */
  async run(
    command: string,
  ): Promise<{ readonly output: string; readonly error: string; readonly status: number }> {
    const [output, error]: [Uint8Array[], Uint8Array[]] = [[], []];
    const loaded = await this.load(command, {
      output: (bytes) => output.push(bytes),
      error: (bytes) => error.push(bytes),
    });
    loaded.start();
    const status = await loaded.ended;
    const [out, err] = [output, error].map((parts) => Buffer.concat(parts).toString("utf8"));
    return { output: out ?? "", error: err ?? "", status };
  }

  /**
   * Makes the kernel with KGDB on its console listen there, as who sits at a terminal does: by a BREAK on
   * the line. The letter behind it, `g`, is for whoever is connected to write. sysrq(7).
   */
  async sendBreak(): Promise<void> {
    await this.protocol.execute("chardev-send-break", { id: portName(PORTS.console) });
  }

  /** Ends the machine, at once. */
  async end(): Promise<void> {
    this.kill();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(new TargetError(`QEMU, process ${String(this.pid)}, was killed and does not end`));
      }, DEATH_MILLISECONDS);
    });
    try {
      await Promise.race([this.ended, late]);
    } finally {
      clearTimeout(timer);
      process.off("exit", this.atExit);
      this.folder.remove();
    }
  }

  /** Lets go of a machine that is kept: this process may end, the machine goes on. */
  release(): void {
    process.off("exit", this.atExit);
    this.qemu.child.unref();
    for (const line of [...this.qemu.ports, this.qemu.monitor, this.qemu.errors]) line?.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  private readonly kill = (): void => {
    this.endedByUs = true;
    this.qemu.child.kill("SIGKILL");
  };

  /** @returns the process that waits to become the command */
  private async give(command: string, terminal: boolean): Promise<number> {
    const { line } = this;
    const failure = "the guest did not take the command";
    try {
      for (const piece of commandPieces(command)) {
        line.say(`text =${piece}`);
        await line.answer("taken", PATIENCE, failure);
      }
      line.say(terminal ? "load-terminal" : "load");
      return Number(await line.answer("loaded", PATIENCE, failure));
    } catch (error) {
      this.outputs = undefined;
      throw error;
    }
  }

  private async toEnd(started: Promise<void>): Promise<number> {
    await started;
    const outputs = this.outputs;
    try {
      const status = Number(await this.line.answer("exited", Infinity, ""));
      await this.drained();
      return status;
    } finally {
      outputs?.output.cut();
      outputs?.error.cut();
      this.outputs = undefined;
    }
  }

  /** Outputs that are still open belong to programs that the command left behind: not waited for as long as it takes. */
  private async drained(): Promise<void> {
    const { outputs } = this;
    if (outputs === undefined) return;
    const both = Promise.all([outputs.output.ended, outputs.error.ended]);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LEFT_BEHIND_MILLISECONDS);
    });
    await Promise.race([both, late]);
    clearTimeout(timer);
  }

  private listen({ console }: LabOptions): void {
    const { ports, errors } = this.qemu;
    for (const port of ports) port?.on("error", () => undefined); // Ends with QEMU, which is told by itself.
    errors.on("data", (bytes: Buffer) => (this.complaints += bytes.toString("utf8")));
    ports[PORTS.console]?.on("data", (bytes: Buffer) => {
      this.consoleText = (this.consoleText + bytes.toString("utf8")).slice(-CONSOLE_BYTES);
      console?.(bytes);
    });
    ports[PORTS.output]?.on("data", (bytes: Buffer) => this.outputs?.output.add(bytes));
    ports[PORTS.error]?.on("data", (bytes: Buffer) => this.outputs?.error.add(bytes));
  }

  private async endOfQemu(): Promise<MachineEnd> {
    const { child } = this.qemu;
    return new Promise((resolve) => {
      const end = (how: MachineEnd): void => {
        this.how ??= how;
        resolve(this.how);
      };
      child.once("error", (error) => {
        end({ kind: "failed", message: error.message });
      });
      // All that it had to say has been read by then.
      child.once("close", (code, signal) => {
        end(this.howItEnded(code, signal));
      });
    });
  }

  private howItEnded(code: number | null, signal: NodeJS.Signals | null): MachineEnd {
    if (this.endedByUs) return { kind: "ended" };
    const panic = panicMessage(this.consoleText);
    if (panic !== undefined) return { kind: "panicked", message: panic };
    if (this.protocol.shutdown === "guest-shutdown") return { kind: "powered-off" };
    if (this.protocol.shutdown === "guest-reset") return { kind: "restarted" };
    const how = signal ?? `exit status ${String(code)}`;
    return { kind: "failed", message: this.complaints.trim().replaceAll(/\s*\n\s*/g, "; ") || how };
  }
}
