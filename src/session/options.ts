/** What the command line asks of a session. */
export interface SessionOptions {
  /** `name` is `<input>` for `-e`, as SystemTap says it. */
  readonly script: { readonly name: string; readonly text: string };
  readonly scriptArguments: readonly string[];
  /** `-c`. */
  readonly command: string | undefined;
  /** `-x`. */
  readonly pid: number | undefined;
  /** A kernel is the target: `--gdb`, `--lab`; or its image is asked (`-l` with `--kernel`). */
  readonly kernel?: KernelOptions | undefined;
  /** `-o`. */
  readonly outputFile: string | undefined;
  /** `-D`. */
  readonly definitions: ReadonlyMap<string, string>;
  /** `-G`. */
  readonly globals: ReadonlyMap<string, string>;
  /** `-p`. */
  readonly lastPass: 1 | 2 | 3 | 4 | 5;
  readonly verbosity: number;
  /** `-w`. */
  readonly suppressWarnings: boolean;
  /** `-l`, `-L`. */
  readonly list: { readonly pattern: string; readonly variables: boolean } | undefined;
  readonly suppressHandlerErrors: boolean;
  readonly strictFaults: boolean;
  /** `-t`. */
  readonly timing: boolean;
  /** `-T`. */
  readonly seconds: number | undefined;
  readonly json: boolean;
}

/** Which kernel is the target, and how it is had. */
export interface KernelOptions {
  /** `--gdb`: where its stub listens, `tcp:HOST:PORT`, `unix:PATH`, `/dev/ttyS0,115200`, `| COMMAND`. */
  readonly gdb: string | undefined;
  /** `--lab`: a machine is booted for the session; `-c` is then a command of its guest. */
  readonly lab: LabRequest | undefined;
  /** `--kernel`: the image, a bzImage or a vmlinux. Without one a lab takes Debian's. */
  readonly image: string | undefined;
}

export interface LabRequest {
  /** `--smp`: processors. */
  readonly smp: number;
  /** `--keep`: the machine lives on when the session ends. */
  readonly keep: boolean;
  /** `--module`: modules that the guest loads, before anything is armed. */
  readonly modules: readonly string[];
}

/** How the session learns of Ctrl-C: `count` is 1 for the first, 2 for the second. */
export interface Interrupts {
  onInterrupt(stop: (count: number) => void): void;
}

/**
 * Where the stub of a program is: `--gdb` without an image, without which nobody could tell what is where in
 * a kernel.
 *
 * @returns undefined where the target is no program behind a stub
 */
export function stubOfProgram({ kernel }: Pick<SessionOptions, "kernel">): string | undefined {
  return kernel?.image === undefined && kernel?.lab === undefined ? kernel?.gdb : undefined;
}
