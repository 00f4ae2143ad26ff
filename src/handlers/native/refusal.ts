/** Something that this back end does not make code of: leaves the compilation, see compileNative. */
export class Refusal extends Error {
  /**
   * @param what half a sentence: `a string constant`
   * @param where its position
   */
  constructor(what: string, where: string) {
    super(where === "" ? what : `${what}, at ${where}`);
  }
}
