import os from "node:os";

const NAMES = new Map(Object.entries(os.constants.errno).map(([name, number]) => [number, name]));

/** `"ENOENT"` for 2; the number itself where it has no name. */
export function errorText(number: number): string {
  return NAMES.get(number) ?? String(number);
}
