/** What one run of a script is asked to do: the command line, checked and in types. */
export interface SessionOptions {
  /** The name that messages use and the script's text; `"<input>"` for `-e` and for standard input. */
  readonly script: { readonly name: string; readonly text: string };
  /** What the script reads as `$1`, `@1`, `argv`. */
  readonly scriptArguments: readonly string[];
  /** `-c`: the command line to launch and trace. Never set together with {@link pid}. */
  readonly command: string | undefined;
  /** `-x`: the process to attach to. */
  readonly pid: number | undefined;
  /** `-o`: where the script's output goes instead of standard output. */
  readonly outputFile: string | undefined;
  /** `-D`: the last value of each name; `""` for a name without a value. */
  readonly definitions: ReadonlyMap<string, string>;
  /** `-G`: values, as written, that replace the initial values of globals. */
  readonly globals: ReadonlyMap<string, string>;
  /** `-p`: the pass after which to stop; 2 where {@link list} is set. */
  readonly lastPass: Pass;
  /** How many `-v` were given. */
  readonly verbosity: number;
  readonly suppressWarnings: boolean;
  /** `-l` and `-L`: list what the pattern matches instead of running a script, whose text is then `""`. */
  readonly list: { readonly pattern: string; readonly variables: boolean } | undefined;
  readonly suppressHandlerErrors: boolean;
  /** Handler faults count as script errors. Never set together with {@link suppressHandlerErrors}. */
  readonly strictFaults: boolean;
  /** `-t`: a table of the probes at the end. */
  readonly timing: boolean;
  /** `-T`: end as `exit()` does after so many seconds; may be a fraction. */
  readonly seconds: number | undefined;
  /** One JSON object a line instead of text. */
  readonly json: boolean;
}

/** The passes: parse, resolve, translate, compile, run. */
export type Pass = 1 | 2 | 3 | 4 | 5;

/** Who wants the session to end, and how urgently. */
export interface Interrupts {
  /**
   * Registers what a request to end does. `count` 1: end as `exit()` does; 2 and more: at once.
   * It never falls. A request made before the registration is passed on during it.
   */
  onInterrupt(stop: (count: number) => void): void;
}
