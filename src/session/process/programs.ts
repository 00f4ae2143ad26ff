import type { Address } from "../../base/address.js";
import { assertNever } from "../../base/assert-never.js";
import { withoutDeleted } from "../../base/file-name.js";
import { MemoryFault, ProbeRefused, TargetGone, TraplineError } from "../../base/errors.js";
import type { ProbeCore } from "../../probes/core.js";
import { RETURNED } from "../../probes/outcome.js";
import type { Probe } from "../../probes/probe.js";
import { dynamicLinkerFacts } from "../../symbols/elf/dynamic-linker.js";
import { ElfImage } from "../../symbols/elf/image.js";
import { loadedAt, type Vaddr } from "../../symbols/vaddr.js";
import type { Mapping, SpaceId, Target, ThreadId } from "../../targets/target.js";
import type { Candidate, Images, ImagesListener, Place } from "../images.js";
import type { ProgramPattern, TextPoint } from "../points/point.js";
import type { ProgramNames } from "../program-names.js";
import type { Where } from "../where.js";
import { Image } from "./image.js";
import { locate } from "./lookup.js";
import { imagesOf, placesIn } from "./places.js";

/** DT_SONAME of dynamic linkers: glibc's ld-linux-x86-64.so.2 and ld64.so.1, musl's libc (which is its own). */
const DYNAMIC_LINKER = /^ld(-|64|\.)|^libc\.musl|^libc\.so$/;

/** A child is seen for the first time so long after its fork, at most; milliseconds. */
const LATEST_FIRST_STOP = 10_000;

/**
 * Which programs and libraries are mapped where. Follows the dynamic linker by a probe of its own
 * at the place that it calls for debuggers.
 */
export class Programs implements Images {
  private readonly spaces = new Map<SpaceId, Image[]>();
  /** When something was unmapped in a space; milliseconds. */
  private readonly lastGone = new Map<SpaceId, number>();
  private readonly files = new Map<string, ElfImage | undefined>();
  private readonly linkerProbe: Probe;
  private readonly entryProbe: Probe;

  constructor(
    private readonly target: Target,
    private readonly core: ProbeCore,
    private readonly names: ProgramNames,
    private readonly tell: ImagesListener,
  ) {
    this.entryProbe = core.register({
      name: "entry points",
      internal: true,
      pre: (hit) => {
        this.tell.relocated(hit.space);
        return RETURNED;
      },
    });
    this.linkerProbe = core.register({
      name: "library loads",
      internal: true,
      pre: (hit) => {
        this.refresh(hit.space);
        return RETURNED;
      },
    });
  }

  /** Closes the files: of images that were open nothing more can be read. */
  [Symbol.dispose](): void {
    for (const file of this.files.values()) file?.[Symbol.dispose]();
    this.files.clear();
  }

  candidates(point: TextPoint, space: SpaceId): readonly Candidate[] {
    const images = this.images(space);
    return imagesOf(point, images, this.names).map((image) => ({
      image,
      find: (memory) => placesIn(point, image, images, memory),
    }));
  }

  copies(from: SpaceId, to: SpaceId): readonly { readonly original: Image; readonly copy: Image }[] {
    const originals = this.images(from);
    return this.images(to).flatMap((copy) => {
      const original = originals.find((image) => image.path === copy.path && image.bias === copy.bias);
      return original === undefined ? [] : [{ original, copy }];
    });
  }

  locate(space: SpaceId, where: Where): Place {
    return locate(this, this.target.memory(space), space, where);
  }

  concerns(program: ProgramPattern, thread: ThreadId): boolean {
    switch (program.kind) {
      case "any":
        return true;
      case "pid":
        return this.target.facts(thread).process === program.pid;
      case "path":
        return this.main(this.target.spaceOf(thread))?.path === this.names.resolve(program.path);
      case "target":
        return this.main(this.target.spaceOf(thread))?.path === this.names.target;
      case "kernel":
      case "module":
        return false;
      default:
        return assertNever(program);
    }
  }

  images(space: SpaceId): readonly Image[] {
    return this.spaces.get(space) ?? [];
  }

  main(space: SpaceId): Image | undefined {
    return this.images(space).find((image) => image.isMain);
  }

  allSpaces(): Iterable<SpaceId> {
    return this.spaces.keys();
  }

  /** The image whose text holds this address. */
  at(space: SpaceId, address: Address): Image | undefined {
    return this.images(space).find((image) => image.text.some((range) => isIn(address, range)));
  }

  /** Reads the mappings again; tells when something came or went. */
  refresh(space: SpaceId): void {
    const before = this.spaces.get(space);
    const mappings = this.target.mappings(space);
    const now = this.imagesIn(space, mappings, before ?? []);
    this.spaces.set(space, now);
    const gone = (before ?? []).filter((image) => !now.includes(image));
    if (gone.length > 0) {
      this.lastGone.set(space, performance.now());
      this.core.forget(space, (address) =>
        gone.some((image) => image.text.some((range) => isIn(address, range))),
      );
    }
    if (before === undefined || gone.length > 0 || now.some((image) => !before.includes(image))) {
      this.watchLinker(now);
      if (before === undefined) this.watchEntry(now);
      this.tell.changed(space);
    }
  }

  /** A forked space maps what its parent maps. */
  copy(from: SpaceId, to: SpaceId): void {
    this.spaces.set(
      to,
      this.images(from).map((image) => image.inSpace(to)),
    );
  }

  /**
   * Probes go with text where another file is mapped now, whoever did that: what stands there is not
   * ours to change. Programs that do so behind the dynamic linker's back are looked at at the end.
   * Text that was copied elsewhere and back (to large pages), or whose file has another name now, is
   * what it was.
   */
  forgetReplaced(space: SpaceId): void {
    const now = this.target.mappings(space).filter((mapping) => mapping.path !== "");
    this.core.forget(space, (address) => {
      const before = this.at(space, address)?.text.find((each) => isIn(address, each));
      const mapping = now.find((each) => isIn(address, each));
      if (before === undefined || mapping === undefined || mapping.path === before.path) return false;
      return mapping.offset - mapping.start !== before.offset - before.start;
    });
  }

  /** A copy may still map what its original has unmapped since: it is looked at by itself then. */
  settleCopy(from: SpaceId, to: SpaceId): void {
    if (performance.now() - (this.lastGone.get(from) ?? -Infinity) < LATEST_FIRST_STOP) this.refresh(to);
  }

  dropIfEmpty(space: SpaceId): void {
    for (const thread of this.target.threadsOf(space)) if (this.target.spaceOf(thread) === space) return;
    this.spaces.delete(space);
    this.lastGone.delete(space);
  }

  private imagesIn(space: SpaceId, mappings: readonly Mapping[], before: readonly Image[]): Image[] {
    const byPath = new Map<string, Mapping[]>();
    for (const mapping of mappings) {
      if (!mapping.path.startsWith("/") && mapping.path !== "[vdso]") continue;
      const list = byPath.get(mapping.path);
      if (list === undefined) byPath.set(mapping.path, [mapping]);
      else list.push(mapping);
    }
    const main = this.mainPath(space);
    const images: Image[] = [];
    for (const [path, ranges] of byPath) {
      const text = ranges.filter((range) => range.executable);
      const first = text[0];
      if (first === undefined) continue;
      const known = before.find((image) => image.path === path && image.text[0]?.start === first.start);
      const image = known ?? this.open(space, path, ranges, text, path === main);
      if (image !== undefined) images.push(image);
    }
    return images;
  }

  private open(
    space: SpaceId,
    path: string,
    ranges: readonly Mapping[],
    text: readonly Mapping[],
    isMain: boolean,
  ): Image | undefined {
    const elf = this.file(space, path, ranges);
    const bias = elf?.loadBias(ranges, path);
    return elf === undefined || bias === undefined
      ? undefined
      : new Image(space, path, elf, bias, isMain, text);
  }

  /** Files that are no ELF (a mapped archive, a JIT's dump) are no images; that is no error. */
  private file(space: SpaceId, path: string, ranges: readonly Mapping[]): ElfImage | undefined {
    const key = ranges[0]?.deleted === true ? `${path}:${String(space)}` : path;
    if (this.files.has(key)) return this.files.get(key);
    let elf: ElfImage | undefined;
    try {
      elf = path === "[vdso]" ? this.vdso(space, ranges) : this.openFile(space, path, ranges);
    } catch (error) {
      if (!(error instanceof TraplineError)) throw error;
    }
    this.files.set(key, elf);
    return elf;
  }

  private openFile(space: SpaceId, path: string, ranges: readonly Mapping[]): ElfImage | undefined {
    const { mappedFile } = this.target.capabilities;
    if (mappedFile === undefined) return ElfImage.open(this.fileOf(space, path, ranges));
    const [range] = ranges;
    return range === undefined ? undefined : ElfImage.fromBytes(mappedFile(space, range), path);
  }

  private vdso(space: SpaceId, ranges: readonly Mapping[]): ElfImage | undefined {
    const range = ranges[0];
    if (range === undefined) return undefined;
    const bytes = new Uint8Array(range.end - range.start);
    this.target.memory(space).read(range.start, bytes);
    return ElfImage.fromBytes(bytes, "[vdso]");
  }

  /** A file that was deleted or replaced can still be read through the process that maps it. */
  private fileOf(space: SpaceId, path: string, ranges: readonly Mapping[]): string {
    const process = this.processOf(space);
    if (process === undefined) return path;
    const first = ranges[0];
    if (first?.deleted === true) {
      const hex = (address: Address): string => address.toString(16);
      return `/proc/${String(process)}/map_files/${hex(first.start)}-${hex(first.end)}`;
    }
    return `/proc/${String(process)}/root${path}`;
  }

  private mainPath(space: SpaceId): string | undefined {
    for (const thread of this.target.threadsOf(space)) {
      // As mappings have it.
      return withoutDeleted(this.target.facts(thread).executable);
    }
    return undefined;
  }

  private processOf(space: SpaceId): number | undefined {
    for (const thread of this.target.threadsOf(space)) return this.target.facts(thread).process;
    return undefined;
  }

  private watchEntry(images: readonly Image[]): void {
    const main = images.find((image) => image.isMain);
    if (main !== undefined) this.watch(this.entryProbe, main, main.elf.entry);
  }

  private watchLinker(images: readonly Image[]): void {
    for (const image of images) {
      if (!DYNAMIC_LINKER.test(image.elf.soname ?? "")) continue;
      const { changeHook } = dynamicLinkerFacts(image.elf);
      if (changeHook === undefined) continue;
      this.watch(this.linkerProbe, image, changeHook);
    }
  }

  private watch(probe: Probe, image: Image, vaddr: Vaddr): void {
    try {
      this.core.arm(probe, image.space, loadedAt(vaddr, image.bias));
    } catch (error) {
      // Without it, what comes later is not seen: what is there can still be probed.
      if (!(error instanceof ProbeRefused || error instanceof MemoryFault || error instanceof TargetGone))
        throw error;
    }
  }
}

function isIn(address: Address, range: Mapping): boolean {
  return address >= range.start && address < range.end;
}
