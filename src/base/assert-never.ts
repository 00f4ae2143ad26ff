/** Marks a branch that the types say cannot be reached; reached all the same, it names the value. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
