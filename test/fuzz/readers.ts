import { elfReaders } from "./elf-readers.js";
import { procReaders } from "./proc-readers.js";
import { scriptReaders } from "./script-readers.js";
import type { Reader } from "./reader.js";

/** All readers, with what they start from. */
export function makeReaders(folder: string, hasCompiler: boolean): Reader[] {
  return [...elfReaders(folder, hasCompiler), ...procReaders(), ...scriptReaders()];
}
