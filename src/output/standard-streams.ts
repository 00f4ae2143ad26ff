import { DescriptorWriter } from "./descriptor-writer.js";

export const STANDARD_OUTPUT = 1;
export const STANDARD_ERROR = 2;

/** For results: that they cannot be written is thrown. */
export function standardOutput(): DescriptorWriter {
  return new DescriptorWriter(STANDARD_OUTPUT, { name: "standard output" });
}

/** For messages, which nobody may be reading. */
export function standardError(): DescriptorWriter {
  return new DescriptorWriter(STANDARD_ERROR, { name: "standard error", lossy: true });
}
