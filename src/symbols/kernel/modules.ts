import type { Address } from "../../base/address.js";
import { TargetError } from "../../base/errors.js";
import { type LoadBias, loadedAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import type { KernelImage } from "./image.js";
import { type LiveMemory, LiveStruct, walkList } from "./live.js";
import { KernelModule } from "./module.js";

/** Modules that were found, and what kept us from finding the rest. */
export interface LoadedModules {
  readonly modules: readonly KernelModule[];
  /** A sentence; undefined where all of the list could be read. */
  readonly damage: string | undefined;
}

/** MODULE_NAME_LEN, and more than it. */
const MOST_CHARACTERS = 64;
/** Where the kernel's half of the address space begins. */
const LOWEST_ADDRESS = -(2 ** 47);
/** `enum module_state`. Linux, include/linux/module.h. */
const STATE = { live: 0, coming: 1 } as const;
/** `MOD_INIT_TEXT` and what is behind it in `enum mod_mem_type` is gone once the module has begun. */
const LASTING_MEMORY = 4;

/**
 * The modules that a running kernel has, by its own list. Those that are just coming are among them: their
 * text is there, and their first function has not run.
 *
 * @param bias of the kernel: its KASLR slide
 * @throws TargetError the kernel has no list of modules, or types do not say what one is
 */
export function loadedModules(image: KernelImage, memory: LiveMemory, bias: LoadBias): LoadedModules {
  const head = image.symbol("modules");
  if (image.types === undefined || head === undefined)
    throw new TargetError(`${image.path} does not say where its modules are listed`, {
      remedy: "use a kernel that is built with CONFIG_MODULES, CONFIG_DEBUG_INFO_BTF and CONFIG_KALLSYMS_ALL",
    });
  const link = image.offsetOf("module", "list");
  const modules: KernelModule[] = [];
  let damage: string | undefined;
  const tolerate = (read: () => void): void => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof TargetError)) throw error;
      damage ??= error.message;
    }
  };
  tolerate(() => {
    for (const at of walkList(memory, loadedAt(head, bias), link, "the kernel's list of modules"))
      tolerate(() => {
        const module = moduleAt(image, memory, bias, at);
        if (module !== undefined) modules.push(module);
      });
  });
  return { modules, damage };
}

/**
 * The module whose `struct module` lies at an address, as the kernel hands it to `do_init_module`.
 *
 * @returns undefined where it is only being made, or going
 * @throws TargetError it cannot be read
 */
export function moduleAt(
  image: KernelImage,
  memory: LiveMemory,
  bias: LoadBias,
  at: Address,
): KernelModule | undefined {
  const kernelTypes = image.types;
  if (kernelTypes === undefined) return undefined;
  const struct = LiveStruct.read(memory, at, kernelTypes, "module");
  const state = struct.u32("state");
  if (state !== STATE.live && state !== STATE.coming) return undefined;
  const ranges = rangesOf(struct);
  const name = struct.text("name", MOST_CHARACTERS);
  const [text] = ranges;
  if (text === undefined || text.start < LOWEST_ADDRESS || text.start >= 0 || text.end > 0)
    throw new TargetError(`module ${name} is damaged: its text is said to be where no memory is`);
  const list = image.symbol("btf_modules");
  return new KernelModule({
    memory,
    struct,
    kernelTypes,
    kernelBtf: image.btf,
    name,
    ranges,
    typesList: list && loadedAt(list, bias),
  });
}

/** Text first. Linux 6.4 made an array of what were two layouts before. */
function rangesOf(struct: LiveStruct): VaddrRange[] {
  const range = (start: Address, size: number): VaddrRange => ({
    start: start as number as Vaddr,
    end: (start + size) as Vaddr,
  });
  if (struct.has("core_layout")) {
    const base = struct.pointer("core_layout.base");
    const text = struct.u32("core_layout.text_size");
    const size = struct.u32("core_layout.size");
    return [range(base, text), range((base + text) as Address, Math.max(0, size - text))];
  }
  return Array.from({ length: LASTING_MEMORY }, (_, index) =>
    range(struct.element("mem", index).pointer("base"), struct.element("mem", index).u32("size")),
  ).filter(({ start, end }, index) => index === 0 || end > start);
}
