import { systemCallNames } from "../../arch/x86_64/system-call-names.js";
import { compileGlob } from "../../symbols/glob.js";
import type { ElfImage } from "../../symbols/elf/image.js";
import { neededLibraries } from "../../symbols/elf/needed-libraries.js";
import { ImageCache } from "../../symbols/elf/cache.js";
import { matchesLibrary } from "../../symbols/programs.js";
import type { ProgramNames } from "../points/places.js";
import type { Point } from "../points/point.js";

type TextPoint = Extract<Point, { kind: "function" | "statement" }>;

/** What can be said of points before anything runs: from the files on disk. */
export class StaticPoints implements Disposable {
  private readonly cache = new ImageCache();

  constructor(private readonly names: ProgramNames) {}

  /** Names of the functions that a point matches; undefined where only the running target can tell. */
  functionsOf(point: TextPoint): readonly string[] | undefined {
    const image = this.imageOf(point);
    if (image === undefined) return undefined;
    return point.kind === "statement" ? [] : image.functions(point.functions).map((each) => each.name);
  }

  /** Points as `-l` prints them, one a line. */
  list(point: Point): readonly string[] {
    if (point.kind === "system-call") {
      const glob = compileGlob(point.name ?? "*");
      const suffix = point.where === "return" ? ".return" : "";
      return systemCallNames()
        .filter((name) => glob.matches(name))
        .map((name) => `syscall.${name}${suffix}`);
    }
    if (point.kind !== "function") return [];
    const path = this.programOf(point);
    const library =
      point.library === undefined ? "" : `.library("${this.imageOf(point)?.realPath ?? point.library}")`;
    const suffix = point.where === "return" ? ".return" : "";
    return (this.functionsOf(point) ?? []).map(
      (name) => `process("${path ?? ""}")${library}.function("${name}")${suffix}`,
    );
  }

  [Symbol.dispose](): void {
    this.cache[Symbol.dispose]();
  }

  private programOf(point: TextPoint): string | undefined {
    const { program } = point;
    return program.kind === "path" ? this.names.resolve(program.path) : this.names.target;
  }

  private imageOf(point: TextPoint): ElfImage | undefined {
    const path = this.programOf(point);
    if (path === undefined) return undefined;
    const program = this.cache.open(path);
    const { library } = point;
    if (library === undefined) return program;
    return neededLibraries(program, (file) => this.cache.open(file)).find((each) =>
      matchesLibrary(library, { path: each.realPath, soname: () => each.soname }),
    );
  }
}
