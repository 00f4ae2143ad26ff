import { fileNameOf } from "../../base/file-name.js";
import { parseMappings } from "../mappings.js";
import type { Mapping } from "../target.js";
import { readBytes } from "./process-files.js";

/** The mappings of the space that a live thread is in. @throws TargetGone no such thread @throws TargetError as {@link parseMappings}, or it cannot be read */
export function readMappings(thread: number): Mapping[] {
  return parseMappings(fileNameOf(readBytes(thread, "maps")), `/proc/${thread}/maps`);
}
