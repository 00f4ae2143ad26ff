/** What the command line asks of a session. */
export interface SessionOptions {
  /** `name` is `<input>` for `-e`, as SystemTap says it. */
  readonly script: { readonly name: string; readonly text: string };
  readonly scriptArguments: readonly string[];
  /** `-c`. */
  readonly command: string | undefined;
  /** `-x`. */
  readonly pid: number | undefined;
  /** `-o`. */
  readonly outputFile: string | undefined;
  /** `-D`. */
  readonly definitions: ReadonlyMap<string, string>;
  /** `-G`. */
  readonly globals: ReadonlyMap<string, string>;
  /** `-p`. */
  readonly lastPass: 1 | 2 | 3 | 4 | 5;
  readonly verbosity: number;
  /** `-w`. */
  readonly suppressWarnings: boolean;
  /** `-l`, `-L`. */
  readonly list: { readonly pattern: string; readonly variables: boolean } | undefined;
  readonly suppressHandlerErrors: boolean;
  readonly strictFaults: boolean;
  /** `-t`. */
  readonly timing: boolean;
  /** `-T`. */
  readonly seconds: number | undefined;
  readonly json: boolean;
}

/** How the session learns of Ctrl-C: `count` is 1 for the first, 2 for the second. */
export interface Interrupts {
  onInterrupt(stop: (count: number) => void): void;
}
