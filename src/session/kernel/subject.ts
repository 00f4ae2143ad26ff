import { UsageError } from "../../base/errors.js";
import type { PointNode, Script } from "../../script/ast.js";
import type { Parsed } from "../../script/compile.js";
import type { Sources } from "../../script/errors.js";
import type { ProbedCodes } from "../../script/probed-code.js";
import { KernelImage } from "../../symbols/kernel/image.js";
import type { KernelOptions } from "../options.js";
import type { KnownPoints } from "../script/known-points.js";
import type { Outside } from "../script/outside.js";
import type { OpenSubject, Subject } from "../script/subject.js";
import { kernelSource } from "./code-source.js";
import { KernelCodes } from "./codes.js";
import { KernelPoints } from "./listing.js";
import { type AttachedKernel, attachKernel } from "./attach.js";
import type { KernelView } from "./view.js";

/** A kernel: behind a stub, in a machine of a lab, or its image alone. */
export class KernelSubject implements Subject {
  readonly hasTarget: boolean;
  private readonly image: KernelImage;
  private readonly view: KernelView;
  private attached: AttachedKernel | undefined;
  private isOpen = false;
  private notices: string[] = [];
  private notice = (text: string): void => {
    this.notices.push(text);
  };

  /** @throws UsageError no image is named @throws TargetError it is none */
  constructor(
    private readonly options: KernelOptions,
    /** Of a process of the machine that `target()` is to give. */
    private readonly pid: number | undefined,
    private readonly outside: Outside,
  ) {
    this.hasTarget = options.gdb !== undefined || options.lab !== undefined;
    if (options.image === undefined)
      throw new UsageError("which kernel it is must be known: its image has the symbols", {
        remedy: "name it with --kernel IMAGE, /boot/vmlinuz-RELEASE of the probed machine, or a vmlinux",
      });
    this.image = KernelImage.open(options.image);
    this.view = {
      kernel: kernelSource(this.image),
      modules: () => this.attached?.modules(),
      slide: () => this.attached?.bias,
    };
  }

  [Symbol.dispose](): void {
    this.image[Symbol.dispose]();
    // Connected to while the script was compiled, which then failed: the machine goes on.
    if (!this.isOpen) void this.attached?.target[Symbol.asyncDispose]();
  }

  points(): KnownPoints {
    return new KernelPoints(this.view);
  }

  codes(sources: Sources): ProbedCodes {
    return new KernelCodes(this.view, sources);
  }

  /** What types a module has is told by the running kernel alone. */
  async prepare({ script }: Parsed): Promise<void> {
    if (this.hasTarget && asksForMemory(script)) await this.attach();
  }

  async open(notice: (text: string) => void): Promise<OpenSubject> {
    for (const text of this.notices.splice(0)) notice(text);
    this.notice = notice;
    const attached = await this.attach();
    this.isOpen = true;
    return { tracee: attached.tracee, process: this.process ?? 0, isHeld: false };
  }

  private process: number | undefined;

  private async attach(): Promise<AttachedKernel> {
    if (this.attached !== undefined) return this.attached;
    const { gdb } = this.options;
    const machine = gdb === undefined ? await this.outside.machine() : { gdb, process: this.pid };
    this.process = machine.process;
    this.attached = attachKernel(machine.gdb, this.image, {
      onNotice: (text) => {
        this.notice(text);
      },
    });
    return this.attached;
  }
}

/** Do points of a script name modules, or addresses of memory? */
function asksForMemory({ probes, aliases }: Script): boolean {
  const asks = ({ components }: PointNode): boolean =>
    components.some(
      ({ name, argument }) => name === "module" || (name === "statement" && typeof argument === "bigint"),
    );
  return [...probes, ...aliases].some(({ points }) => points.some(asks));
}
