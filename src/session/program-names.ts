/** Programs that run, and where they are on disk: what `process` and `process("PATH")` mean now. */
export interface ProgramNames {
  /** Real path of the target's main program; undefined where only the running target tells. */
  target: string | undefined;
  /** Real path of `process("PATH")`. */
  resolve(path: string): string;
}

/** For those who name no programs. */
export const NO_NAMES: ProgramNames = { target: undefined, resolve: (path) => path };
