import { systemCallNames } from "../../arch/x86_64/system-call-names.js";
import type { ElfImage } from "../../symbols/elf/image.js";
import { neededLibraries } from "../../symbols/elf/needed-libraries.js";
import { ImageCache } from "../../symbols/elf/cache.js";
import { compileGlob } from "../../symbols/glob.js";
import { matchesLibrary } from "../../symbols/programs.js";
import { formatVaddr, type Vaddr } from "../../symbols/vaddr.js";
import { refuseStatement } from "./harm.js";
import type { ProgramNames } from "../program-names.js";
import { isOfKernel, isReturn, isText, type Point, type TextPoint } from "../points/point.js";
import type { Foreign, KnownPoints, Match } from "../script/known-points.js";

const KERNEL_WANTED: Foreign = {
  why: "a kernel to probe is needed",
  remedy: "name one with --gdb WHERE --kernel IMAGE, or boot one with --lab",
};

/** What can be said of points of processes before anything runs: from the files on disk. */
export class StaticPoints implements KnownPoints {
  private readonly cache = new ImageCache();

  constructor(private readonly names: ProgramNames) {}

  foreign(point: Point): Foreign | undefined {
    return "program" in point && isOfKernel(point.program) ? KERNEL_WANTED : undefined;
  }

  matches(point: TextPoint): boolean | undefined {
    const images = this.imagesOf(point);
    if (images.length === 0) return undefined;
    return point.kind === "statement" || images.some((image) => image.functions(point.functions).length > 0);
  }

  refuse(point: TextPoint): void {
    if (point.kind !== "statement") return;
    for (const image of this.imagesOf(point))
      refuseStatement(Number(point.vaddr) as Vaddr, image, image.realPath);
  }

  matchesOf(point: Point, text: string): readonly Match[] {
    if (point.kind === "system-call" && point.name !== undefined) {
      const glob = compileGlob(point.name);
      return systemCallNames()
        .filter((name) => glob.matches(name))
        .map((name) => ({ text: `syscall.${name}${suffixOf(point)}`, place: undefined }));
    }
    const program = this.programOf(point);
    if (program === undefined) return [{ text, place: undefined }];
    const inProgram = text.replace(/^process(\("[^"]*"\))?/, () => `process("${program}")`);
    if (!isText(point)) return [{ text: inProgram, place: undefined }];
    const images = this.imagesOf(point);
    if (images.length === 0) return [{ text: inProgram, place: undefined }];
    return images.flatMap((image): Match[] => {
      const library = point.library === undefined ? "" : `.library("${image.realPath}")`;
      const container = `process("${program}")${library}`;
      if (point.kind === "statement") {
        const place = `0x${point.vaddr.toString(16)}`;
        return [{ text: `${container}.statement(${place})`, place }];
      }
      const part = point.kind === "function" ? "function" : "statement";
      const offset = point.kind === "function" ? "" : `+0x${point.offset.toString(16)}`;
      return image.functions(point.functions).map((found) => ({
        text: `${container}.${part}("${found.name}${offset}")${suffixOf(point)}`,
        // Which implementation an IFUNC selects is known when the target has run its resolver.
        place: found.kind === "ifunc" ? undefined : formatVaddr(found.vaddr),
      }));
    });
  }

  [Symbol.dispose](): void {
    this.cache[Symbol.dispose]();
  }

  /** Path of the program that a point is about; undefined where it is about none, or only a target tells. */
  private programOf(point: Point): string | undefined {
    if (!("program" in point)) return undefined;
    switch (point.program.kind) {
      case "path":
        return this.names.resolve(point.program.path);
      case "target":
        return this.names.target;
      case "pid":
      case "any":
      case "kernel":
      case "module":
        return undefined;
    }
  }

  /** The program or its libraries that a point is about; none where only the running target tells. */
  private imagesOf(point: TextPoint): readonly ElfImage[] {
    const path = this.programOf(point);
    if (path === undefined) return [];
    const program = this.cache.open(path);
    const { library } = point;
    if (library === undefined) return [program];
    return neededLibraries(program, (file) => this.cache.open(file)).filter((each) =>
      matchesLibrary(library, { path: each.realPath, soname: () => each.soname }),
    );
  }
}

function suffixOf(point: Point): string {
  return isReturn(point) ? ".return" : "";
}
