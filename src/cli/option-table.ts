/** An option as help, man page and completions show it. */
export interface OptionFacts {
  /** As the argument parser reads it: `"-c <command>"`. */
  readonly flags: string;
  readonly description: string;
}

export interface OptionGroup {
  readonly heading: string;
  readonly options: readonly OptionFacts[];
}

/**
 * Every option of `trapline`, grouped as `--help` prints them. Spellings that SystemTap has mean
 * here what they mean there; stap(1) is the source.
 */
export const OPTION_GROUPS = [
  {
    heading: "Script:",
    options: [
      { flags: "-e <script>", description: "run this text instead of a script file" },
      { flags: "-D <name=value>", description: "set a limit or another definition, e.g. MAXERRORS=10" },
      { flags: "-G <variable=value>", description: "set the initial value of a global of the script" },
      {
        flags: "-p <pass>",
        description: "stop after a pass: 1 parse, 2 resolve, 3 translate, 4 compile, 5 run",
      },
      { flags: "-l <probe>", description: "list the probe points that match, and do not run" },
      { flags: "-L <probe>", description: "the same, with the variables that an alias sets" },
    ],
  },
  {
    heading: "Target:",
    options: [
      { flags: "-c <command>", description: "launch a command and trace it until it ends" },
      { flags: "-x <pid>", description: "attach to a running process" },
    ],
  },
  {
    heading: "Kernel:",
    options: [
      { flags: "--lab", description: "boot a kernel in QEMU; -c is then a command of its guest" },
      {
        flags: "--gdb <where>",
        description: "probe behind a GDB stub: tcp:HOST:PORT, unix:PATH, /dev/ttyS0,115200, '| COMMAND'",
      },
      {
        flags: "--kernel <image>",
        description: "the kernel's image, bzImage or vmlinux; a lab without one takes Debian's",
      },
      { flags: "--smp <number>", description: "processors of the lab's machine, 1 unless told" },
      { flags: "--module <name>", description: "a module that the lab's guest loads; may be repeated" },
      { flags: "--keep", description: "let the lab's machine live on, for another session" },
      { flags: "--clean", description: "with --gdb: take out breakpoints that a killed session left" },
    ],
  },
  {
    heading: "Run:",
    options: [
      { flags: "-T <seconds>", description: "end after so many seconds, as exit() does" },
      {
        flags: "--suppress-handler-errors",
        description: "an error in a handler ends that handler only, quietly",
      },
      { flags: "--strict-faults", description: "count faults of handlers as script errors" },
    ],
  },
  {
    heading: "Output:",
    options: [
      { flags: "-o <file>", description: "write the script's output to a file" },
      { flags: "--json", description: "write one JSON object a line: output, events, the target's end" },
      {
        flags: "-t",
        description: "at the end, per probe: tier, hits, missed, retries, faults, handler time",
      },
      { flags: "-v", description: "say what each pass made; -vv: each place that is armed too" },
      { flags: "-w", description: "no warnings" },
    ],
  },
  {
    heading: "Help:",
    options: [
      { flags: "-h, --help", description: "print this and exit" },
      { flags: "-V, --version", description: "print the version and exit" },
    ],
  },
] as const satisfies readonly OptionGroup[];

/** The spellings in an option's flags: `["-h", "--help"]`. */
function spellings(option: OptionFacts): string[] {
  return option.flags.split(/[ ,]+/).filter((word) => word.startsWith("-"));
}

/** Every spelling that the parser knows. */
export const SPELLINGS: readonly string[] = OPTION_GROUPS.flatMap((group) =>
  group.options.flatMap(spellings),
);

/**
 * Options of SystemTap that Trapline has not, and what to do instead: whoever types one learns that
 * it is not a slip of the finger. stap(1), OPTIONS.
 */
export const FOREIGN_OPTIONS: Readonly<Record<string, string>> = {
  "-E": "give one script, with -e or as a file",
  "-I": "there is no script library to add",
  "-B": "nothing is built with make",
  "-F": "a session lives as long as its command; run it in the background",
  "-R": "there is no runtime to choose",
  "-S": "output files are not switched; pipe into a program that rotates them",
  "-W": "warnings are never errors",
  "-a": "the target's own architecture is probed",
  "-b": "there is no bulk mode; output always arrives in order",
  "-d": "symbols are read from each file that is mapped",
  "-g": "there is no guru mode, since there is no embedded C",
  "-i": "there is no interactive mode",
  "-k": "no temporary files are made",
  "-m": "no kernel module is made",
  "-r": "the running system is probed",
  "-s": "output is not buffered in a ring",
};
