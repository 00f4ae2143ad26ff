import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { TargetError } from "../../base/errors.js";
import { Dwarf } from "../dwarf/dwarf.js";
import { ElfImage } from "../elf/image.js";
import type { Vaddr, VaddrRange } from "../vaddr.js";

/** Debug information of a kernel, and the file that has it. */
export class KernelDebug implements Disposable {
  private constructor(
    readonly dwarf: Dwarf,
    private readonly elf: ElfImage,
    private readonly isOwn: boolean,
  ) {}

  /**
   * Of the image itself; else of the vmlinux that it was made from, where that lies at one of the usual
   * places and has the same build-id.
   *
   * @param elf     the kernel's own ELF file
   * @param path    of the image
   * @param release as `uname -r` says it; undefined where the image does not say
   * @returns undefined where there is none @throws TargetError damaged
   */
  static find(elf: ElfImage, path: string, release: string | undefined): KernelDebug | undefined {
    const own = Dwarf.of(elf);
    if (own !== undefined) return new KernelDebug(own, elf, true);
    const { buildId } = elf;
    if (buildId === undefined) return undefined;
    for (const candidate of debugKernels(path, release)) {
      const other = existsSync(candidate) ? openOther(candidate) : undefined;
      if (other === undefined) continue;
      const dwarf = other.buildId === buildId ? Dwarf.of(other) : undefined;
      if (dwarf !== undefined) return new KernelDebug(dwarf, other, false);
      other[Symbol.dispose]();
    }
    return undefined;
  }

  /** Where variables of each processor are linked to; undefined where it has none. */
  get perCpu(): VaddrRange | undefined {
    const section = this.elf.sections.find(({ name }) => name === ".data..percpu");
    return section && { start: section.vaddr, end: (section.vaddr + section.size) as Vaddr };
  }

  [Symbol.dispose](): void {
    if (!this.isOwn) this.elf[Symbol.dispose]();
  }
}

/**
 * Where the vmlinux of an image may be, with its debug information: beside it, in the tree that it was built
 * in (`arch/x86/boot/bzImage`), where modules are built, and where the packages of Debian (`-dbg`), Ubuntu
 * (`-dbgsym`) and Fedora (`-debuginfo`) put it.
 */
function debugKernels(path: string, release: string | undefined): string[] {
  const folder = dirname(resolve(path));
  const built = [join(folder, "vmlinux"), join(folder, "../../..", "vmlinux")];
  if (release === undefined || release === "" || release.includes("/")) return built;
  return [
    ...built,
    join(folder, `vmlinux-${release}`),
    `/usr/lib/debug/boot/vmlinux-${release}`,
    `/usr/lib/debug/lib/modules/${release}/vmlinux`,
    `/usr/lib/debug/usr/lib/modules/${release}/vmlinux`,
    `/lib/modules/${release}/build/vmlinux`,
  ];
}

/** Whatever lies there by that name is no kernel that anybody named: it need not be one. */
function openOther(path: string): ElfImage | undefined {
  try {
    return ElfImage.open(path, { debugRoots: [] });
  } catch (error) {
    if (error instanceof TargetError) return undefined;
    throw error;
  }
}
