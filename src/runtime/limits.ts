import { UsageError } from "../base/errors.js";
import { closest } from "../base/closest.js";

interface LimitFacts {
  /** Used where `-D` does not say otherwise. */
  readonly initial: number;
  readonly least: number;
  readonly most: number;
  readonly what: string;
}

const COUNT = { least: 0, most: Number.MAX_SAFE_INTEGER } as const;

/**
 * Every bound that `-D NAME=VALUE` sets. Names and values of the first part are SystemTap's
 * (runtime/runtime_defines.h, stat-common.c, stat.h, on a 64-bit machine), of the second ours (DESIGN.md, S7b).
 */
export const LIMITS = {
  MAXERRORS: { ...COUNT, initial: 0, what: "script errors tolerated before the session fails" },
  MAXSKIPPED: { ...COUNT, initial: 100, what: "missed hits tolerated before the session fails" },
  MAXACTION: { ...COUNT, initial: 1000, what: "statements that one hit may execute" },
  MAXACTION_INTERRUPTIBLE: {
    ...COUNT,
    initial: 10_000,
    what: "statements that a begin, end or error probe may execute",
  },
  MAXSTRINGLEN: {
    initial: 512,
    least: 8,
    most: 2 ** 20,
    what: "bytes of a string, its terminating 0 included",
  },
  MAXMAPENTRIES: {
    initial: 2048,
    least: 1,
    most: 2 ** 24,
    what: "elements of an array that declares no size",
  },
  MAXNESTING: {
    initial: 10,
    least: 1,
    most: 1000,
    what: "nested function calls, beyond what a script without recursion needs",
  },
  HIST_WIDTH: { initial: 50, least: 1, most: 1000, what: "columns of a histogram's longest bar" },
  HIST_ELISION: {
    initial: 2,
    least: -1,
    most: 1000,
    what: "empty rows kept beside full ones in a histogram, -1: all",
  },
  STP_MAX_BUCKETS: { initial: 128, least: 3, most: 2 ** 16, what: "buckets of a linear histogram" },

  MAXFAULT: { ...COUNT, initial: 64, what: "faults, fenced or not, within one hit" },
  MAXHITS: { ...COUNT, initial: 0, what: "hits of one place after which it is disarmed, 0: never" },
  MAXCANCELLED: { ...COUNT, initial: 100, what: "consecutive cancelled hits that disarm a probe, 0: never" },
} as const satisfies Record<string, LimitFacts>;

export type LimitName = keyof typeof LIMITS;
export type Limits = Readonly<Record<LimitName, number>>;

/** SystemTap's macros about matters that Trapline does not have; accepted, so that its command lines run. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "INTERRUPTIBLE",
  "MAPHASHBIAS",
  "MAXTRYLOCK",
  "MAXUPROBES",
  "MINSTACKSPACE",
  "STAP_NO_OVERLOAD",
  "STP_MAXMEMORY",
  "STP_NO_OVERLOAD",
  "STP_OVERLOAD_INTERVAL",
  "STP_OVERLOAD_THRESHOLD",
  "TRYLOCKDELAY",
]);

const NAMES = Object.keys(LIMITS) as LimitName[];

export const DEFAULT_LIMITS: Limits = Object.freeze(
  Object.fromEntries(NAMES.map((name) => [name, LIMITS[name].initial])) as Record<LimitName, number>,
);

/**
 * The limits that `-D NAME=VALUE` arguments (without the `-D`) give; a later one wins. As in
 * SystemTap, MAXACTION_INTERRUPTIBLE is ten times MAXACTION unless it is given itself.
 *
 * @throws UsageError unknown name (with the nearest known one), no number, out of range
 */
export function parseDefinitions(definitions: readonly string[]): Limits {
  const limits: Record<LimitName, number> = { ...DEFAULT_LIMITS };
  let interruptibleGiven = false;
  for (const definition of definitions) {
    const equals = definition.indexOf("=");
    const name = equals < 0 ? definition : definition.slice(0, equals);
    if (WITHOUT_EFFECT.has(name)) continue;
    if (!isLimitName(name)) throw unknownName(name);
    limits[name] = parseValue(name, equals < 0 ? undefined : definition.slice(equals + 1));
    interruptibleGiven ||= name === "MAXACTION_INTERRUPTIBLE";
  }
  if (!interruptibleGiven) limits.MAXACTION_INTERRUPTIBLE = limits.MAXACTION * 10;
  return limits;
}

function isLimitName(name: string): name is LimitName {
  return Object.hasOwn(LIMITS, name);
}

function unknownName(name: string): UsageError {
  const near = closest(name.toUpperCase(), NAMES);
  return new UsageError(`-D ${name}: there is no such limit`, {
    remedy: near === undefined ? `the limits are ${NAMES.join(", ")}` : `did you mean ${near}?`,
  });
}

function parseValue(name: LimitName, text: string | undefined): number {
  const { least, most, what } = LIMITS[name];
  if (text === undefined || !/^-?(\d+|0x[0-9a-f]+)$/i.test(text)) {
    throw new UsageError(`-D ${name}${text === undefined ? "" : `=${text}`}: not a number`, {
      remedy: `write -D ${name}=${LIMITS[name].initial}: ${what}`,
    });
  }
  const value = text.startsWith("-") ? -Number(text.slice(1)) : Number(text);
  if (value < least || value > most) {
    throw new UsageError(`-D ${name}=${text}: must be ${least} to ${most} (${what})`);
  }
  return value;
}
