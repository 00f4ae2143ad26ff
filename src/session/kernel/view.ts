import type { LoadBias } from "../../symbols/vaddr.js";
import type { CodeSource } from "./code-source.js";

/** What is known of a kernel: of its image, and of the running one where there is one. */
export interface KernelView {
  readonly kernel: CodeSource;
  /** Those loaded now; undefined where nothing runs (yet). */
  readonly modules: () => readonly CodeSource[] | undefined;
  /** The KASLR slide; undefined where nothing runs (yet). */
  readonly slide: () => LoadBias | undefined;
}
