// A conversation with a stub, as a text that can be read: a packet a line.

/** What one side said, or what happened on the line. */
export interface Entry {
  readonly kind: keyof typeof MARKS;
  /** A packet without its frame, as bytes in latin1; of "interrupt" and "signal" nothing. */
  readonly text: string;
}

/**
 * How the lines of each kind begin. Acknowledgements are left out: when they come depends on how the bytes
 * were cut into pieces.
 */
const MARKS = {
  /** A packet of the client's. */
  client: ">",
  /** A packet of the stub's. */
  stub: "<",
  /** What the kernel's console said between the stub's packets, on the same line. */
  console: "|",
  /** The client wants the kernel to stop. */
  interrupt: "!",
  /** Trapline is told to end, as by Ctrl-C. */
  signal: "^",
} as const;

/**
 * How long the stub is not heard behind a signal, when recorded and when played: until then the client has heard of
 * the signal, so that it does the same both times. Shorter than a client waits for an acknowledgement. Milliseconds.
 */
export const HELD_BACK = 500;

/** What came of a session. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

export interface Recording {
  /** `linux_banner` of the kernel that answered. */
  readonly banner: string;
  readonly outcome: Outcome;
  readonly conversation: readonly Entry[];
}

const HEAD =
  "# A session with KGDB, recorded by `npm run kgdb -- --record=FOLDER`. Lines: > Trapline, < KGDB,";
const HEAD_2 =
  "# | the kernel's console on the same line, ! the kernel is made to stop, ^ Ctrl-C. Bytes that are no ASCII: \\xNN.";

export function formatRecording({ banner, outcome, conversation }: Recording): string {
  const lines = [
    HEAD,
    HEAD_2,
    `kernel ${escaped(banner)}`,
    `status ${String(outcome.status)}`,
    ...linesOf(outcome.stdout).map((line) => `stdout ${escaped(line)}`.trimEnd()),
    ...linesOf(outcome.stderr).map((line) => `stderr ${escaped(line)}`.trimEnd()),
    "",
    ...conversation.map(({ kind, text }) => `${MARKS[kind]} ${escaped(text)}`.trimEnd()),
  ];
  return `${lines.join("\n")}\n`;
}

/** @throws Error it is no recording */
export function parseRecording(text: string, name: string): Recording {
  const [head = "", ...rest] = text.split("\n\n");
  const lines = head.split("\n").filter((line) => !line.startsWith("#"));
  const all = (word: string): string[] =>
    lines
      .filter((line) => line === word || line.startsWith(`${word} `))
      .map((line) => unescaped(line.slice(word.length + 1)));
  const [banner] = all("kernel");
  const [status] = all("status");
  if (banner === undefined || status === undefined) throw new Error(`${name} is no recorded session`);
  const conversation = rest
    .join("\n\n")
    .split("\n")
    .filter((line) => line !== "")
    .map((line, index) => {
      const kind = KINDS.find((each) => MARKS[each] === line[0]);
      if (kind === undefined)
        throw new Error(`${name}, line ${String(index + 1)} of the conversation: ${line}`);
      return { kind, text: unescaped(line.slice(2)) };
    });
  const output = (word: string): string =>
    all(word)
      .map((line) => `${line}\n`)
      .join("");
  return {
    banner,
    outcome: { stdout: output("stdout"), stderr: output("stderr"), status: Number(status) },
    conversation,
  };
}

const KINDS = Object.keys(MARKS) as (keyof typeof MARKS)[];

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** A space at a line's end would be lost by editors: it is written as a number, too. */
function escaped(text: string): string {
  return text.replace(/[^ -[\]-~]| $/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function unescaped(text: string): string {
  return text.replace(/\\x([0-9a-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}
