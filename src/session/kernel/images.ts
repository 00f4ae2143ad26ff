import { type Address, addressOf, formatAddress, offsetBy } from "../../base/address.js";
import { closest } from "../../base/closest.js";
import { TargetError, TargetGone, TraplineError, UsageError } from "../../base/errors.js";
import type { ProbeCore } from "../../probes/core.js";
import { RETURNED } from "../../probes/outcome.js";
import { compileGlob } from "../../symbols/glob.js";
import type { KernelCode } from "../../symbols/kernel/code.js";
import type { KernelFunction } from "../../symbols/kernel/functions.js";
import { type LoadBias, loadedAt, type Vaddr } from "../../symbols/vaddr.js";
import type { SpaceId, Target, ThreadId } from "../../targets/target.js";
import type { Candidate, CodeImage, Images, ImagesListener, Place } from "../images.js";
import type { ProgramPattern, TextPoint } from "../points/point.js";
import type { Where } from "../where.js";
import type { CodeSource } from "./code-source.js";
import { LoadedCode } from "./loaded-code.js";
import { functionPlace, isAbout, placesIn, statementPlace } from "./places.js";

/** A kernel that runs, as far as it is known before anything of it is probed. */
export interface RunningKernel {
  readonly source: CodeSource;
  /** Its KASLR slide. */
  readonly bias: LoadBias;
  readonly space: SpaceId;
  /** The modules that are loaded now, those being loaded included. */
  modules(): readonly CodeSource[];
}

/** Where the kernel's loader of modules is seen at work. Linux, kernel/module/main.c. */
const LOADER = {
  /** A module's text is in place and not executed yet. */
  initializes: "do_init_module",
  /** A module is about to be given back. */
  frees: "free_module",
} as const;

/** The kernel and its modules, as they come and go: followed by probes of the engine's own in the kernel's loader. */
export class KernelImages implements Images {
  readonly space: SpaceId;
  private readonly kernel: LoadedCode;
  private modules: readonly LoadedCode[] = [];
  private isWatched = false;

  constructor(
    private readonly target: Target,
    private readonly core: ProbeCore,
    private readonly running: RunningKernel,
    private readonly tell: ImagesListener & { readonly notice: (text: string) => void },
  ) {
    this.space = running.space;
    this.kernel = this.loaded(running.source, running.bias);
  }

  [Symbol.dispose](): void {
    // The image belongs to who opened it.
  }

  /** The kernel's own. */
  get code(): KernelCode {
    return this.kernel.source.code;
  }

  /** The kernel first. */
  get all(): readonly LoadedCode[] {
    return [this.kernel, ...this.modules];
  }

  /** Where a function of the kernel itself is entered. */
  entryOf(found: KernelFunction): Address {
    return this.kernel.entryOf(found);
  }

  allSpaces(): Iterable<SpaceId> {
    return [this.space];
  }

  at(_space: SpaceId, address: Address): LoadedCode | undefined {
    return this.all.find((image) => image.holds(address));
  }

  candidates(point: TextPoint): readonly Candidate[] {
    return this.all
      .filter((image) => isAbout(point, image))
      .map((image) => ({
        image,
        find: () => ({ places: placesIn(point, image, this.readText), waiting: [] }),
      }));
  }

  locate(_space: SpaceId, where: Where): Place {
    return where.kind === "address" ? this.byAddress(where.address) : this.bySymbol(where);
  }

  concerns(program: ProgramPattern, thread: ThreadId): boolean {
    switch (program.kind) {
      case "any":
      case "kernel":
        return true;
      case "pid":
        return this.target.facts(thread).process === program.pid;
      case "module":
      case "path":
      case "target":
        return false;
    }
  }

  refresh(): void {
    const before = this.modules;
    const now = this.running.modules().map((source) => {
      const known = before.find((image) => image.path === source.name && image.source.at === source.at);
      return known ?? this.loaded(source, 0 as LoadBias);
    });
    this.modules = now;
    for (const image of before) if (!now.includes(image)) this.forget(image);
    if (!this.isWatched) this.watch();
    this.tell.changed(this.space);
  }

  // A kernel has one space, which is copied by nobody and lives as long as the target.

  copies(): readonly { readonly original: CodeImage; readonly copy: CodeImage }[] {
    return [];
  }

  copy(): void {
    // Never told.
  }

  settleCopy(): void {
    // Never told.
  }

  dropIfEmpty(): void {
    // Never empty.
  }

  forgetReplaced(): void {
    // Nobody maps other text in place of a kernel's.
  }

  /** As it is in memory without breakpoints of ours. */
  private readonly readText = (at: Address, into: Uint8Array): number => {
    const length = this.target.memory(this.space).readSome(at, into);
    this.core.hideBreakpoints(this.space, at, into, length);
    return length;
  };

  private loaded(source: CodeSource, bias: LoadBias): LoadedCode {
    const fentry = this.running.source.code.symbol("__fentry__");
    const seen = fentry === undefined ? undefined : ((fentry + this.running.bias - bias) as Vaddr);
    return new LoadedCode(this.space, source, bias, seen);
  }

  private forget(image: LoadedCode): void {
    this.disarm((address) => image.holds(address));
  }

  /** The bytes are put back first: what a module left behind may still be executed. */
  private disarm(gone: (address: Address) => boolean): void {
    for (const probed of this.core.probedSpaces()) {
      for (const { address, entries } of [...probed.locations.values()]) {
        if (!gone(address)) continue;
        for (const { probe } of entries) this.core.disarmPlace(probe, this.space, address);
      }
    }
    this.core.forget(this.space, gone);
  }

  private watch(): void {
    this.isWatched = true;
    const coming = this.core.register({
      name: "modules that come",
      internal: true,
      pre: () => {
        this.refresh();
        return RETURNED;
      },
    });
    this.watchAt(LOADER.initializes, (address) => {
      this.core.arm(coming, this.space, address);
    });
    const going = this.core.register({
      name: "modules that go",
      internal: true,
      pre: (hit) => {
        this.going(addressOf(hit.registers.read("rdi")));
        return RETURNED;
      },
    });
    this.watchAt(LOADER.frees, (address) => {
      this.core.arm(going, this.space, address);
    });
  }

  private watchAt(name: string, arm: (address: Address) => void): void {
    const [found] = this.code.functions(name);
    try {
      if (found === undefined) throw new TargetError(`the kernel has no function ${name}`);
      arm(this.entryOf(found));
    } catch (error) {
      if (error instanceof TargetGone) return;
      if (!(error instanceof TraplineError)) throw error;
      this.tell.notice(`modules that are loaded from now on are not seen: ${error.message}`);
    }
  }

  /** @param at of its `struct module` */
  private going(at: Address | undefined): void {
    const gone = this.modules.filter(({ source }) => source.at === at);
    this.modules = this.modules.filter((image) => !gone.includes(image));
    for (const image of gone) this.forget(image);
    if (gone.length > 0) this.tell.changed(this.space);
  }

  private byAddress(value: bigint): Place {
    const address = addressOf(value);
    if (address === undefined) throw new UsageError(`0x${value.toString(16)} is no canonical address`);
    const image = this.at(this.space, address);
    if (image === undefined)
      throw new TargetError(`${formatAddress(address)} is in no text of the kernel or its modules`);
    return this.checked(image, statementPlace(address, image, this.readText));
  }

  private bySymbol(where: Extract<Where, { kind: "symbol" }>): Place {
    const { symbol, offset, module } = where;
    const glob = module === undefined ? undefined : compileGlob(module);
    const images = this.all.filter((image) => glob?.matches(image.path) ?? true);
    for (const image of images) {
      // A name is no pattern here.
      const [found] = image.source.code.functions(symbol.replace(/[*?[\\]/g, "\\$&"));
      if (found === undefined) continue;
      const start = loadedAt(found.vaddr, image.bias);
      return this.checked(
        image,
        offset === 0
          ? functionPlace(found, image)
          : statementPlace(offsetBy(start, offset), image, this.readText),
      );
    }
    const inModule = module === undefined ? "in the kernel and its modules" : `in ${module}`;
    const names = images.flatMap((image) => image.source.code.functions("*").map(({ name }) => name));
    const near = closest(symbol, names);
    throw new TargetError(
      `no function ${symbol} ${inModule}${near === undefined ? "" : `: did you mean ${near}?`}`,
      { remedy: "a function of a module can be probed once the module is loaded" },
    );
  }

  private checked(image: LoadedCode, place: Place): Place {
    image.refuse(place.address);
    return place;
  }
}
