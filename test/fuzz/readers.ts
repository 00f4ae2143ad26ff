import { defectiveReaders } from "./defective-readers.js";
import { dwarfReaders } from "./dwarf-readers.js";
import { elfReaders } from "./elf-readers.js";
import { kernelReaders } from "./kernel-readers.js";
import { nativeReaders } from "./native-reader.js";
import { procReaders } from "./proc-readers.js";
import { stubReaders } from "./stub-readers.js";
import { scriptReaders } from "./script-readers.js";
import type { Reader } from "./reader.js";

/** Those of `src/`, or some that must be found out. */
export type ReaderSet = "real" | "defective";

/** All readers, with what they start from. */
export function makeReaders(set: ReaderSet, folder: string, hasCompiler: boolean): Reader[] {
  if (set === "defective") return defectiveReaders();
  return [
    ...elfReaders(folder, hasCompiler),
    ...kernelReaders(),
    ...dwarfReaders(),
    ...nativeReaders(hasCompiler),
    ...procReaders(),
    ...scriptReaders(),
    ...stubReaders(),
  ];
}
