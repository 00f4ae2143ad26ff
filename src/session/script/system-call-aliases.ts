import { compileGlob } from "../../symbols/glob.js";

/** A table of the tapset as lines: what stands before the colon, and the words behind it. */
interface Line {
  readonly head: string;
  readonly words: readonly string[];
}

/** What one argument adds to its call's alias: statements, and its part of `argstr`. */
interface Argument {
  readonly statements: readonly string[];
  readonly format: string;
  readonly value: string;
  /** It is told only then. */
  readonly condition?: string;
}

/** Bytes of a buffer that `argstr` shows. */
const SHOWN_BYTES = 32;
const O_CREAT = 0x40;

/** Numbers: how they are read, and written. */
const NUMBERS: Readonly<Record<string, { readonly read: string; readonly format: string }>> = {
  d: { read: "int_arg", format: "%d" },
  u: { read: "uint_arg", format: "%u" },
  l: { read: "long_arg", format: "%d" },
  ul: { read: "ulong_arg", format: "%u" },
  x: { read: "ulong_arg", format: "%#x" },
  ux: { read: "uint_arg", format: "%#x" },
  o: { read: "uint_arg", format: "%#o" },
  p: { read: "pointer_arg", format: "%p" },
};

/**
 * The aliases `syscall.NAME` and `syscall.NAME.return`, in the script language, out of the tapset's table.
 *
 * @param table  system-calls.table, which says how it is written
 * @param names  patterns of those that are wanted
 */
export function systemCallAliases(table: string, names: readonly string[] = ["*"]): string {
  const globs = names.map(compileGlob);
  return linesOf(table)
    .filter(({ head }) => head.split(/[=+]/).some((name) => globs.some((glob) => glob.matches(name))))
    .map(aliasesOf)
    .join("\n");
}

/**
 * Functions `_NAME_str(value)` that tell flags as words, in the script language, out of flags.table.
 *
 * @param wanted  tells by the function's name
 */
export function flagFunctions(table: string, wanted: (name: string) => boolean = () => true): string {
  return linesOf(table)
    .filter(({ head }) => wanted(`_${head.split(" ")[1] ?? ""}_str`))
    .map(({ head, words }) => {
      const [kind, name = ""] = head.split(" ");
      const values = words.map((word) => {
        const [, text = "", value = "", mask] = /^(\w+)=(-?\w+)(?:\/(\w+))?$/.exec(word) ?? [];
        return { text, value, mask };
      });
      return kind === "enum"
        ? enumFunction(name, values)
        : bitsFunction(name, values, kind === "octal" ? "%#o" : "%#x");
    })
    .join("\n");
}

interface Word {
  readonly text: string;
  readonly value: string;
  readonly mask: string | undefined;
}

function enumFunction(name: string, values: readonly Word[]): string {
  const tests = values.map(({ text, value }) => `if (v == ${value}) return "${text}"`);
  return `function _${name}_str:string(v:long) {\n${tests.join("\n")}\nreturn sprintf("%d", v) }`;
}

function bitsFunction(name: string, values: readonly Word[], format: string): string {
  const tests = values.map(({ text, value, mask }) => {
    // Words that share a mask look at the value as it came, the others at what the words before them left of it.
    const looksAt = mask === undefined ? `left & ${value}` : `whole & ${mask}`;
    return `if ((${looksAt}) == ${value}) { s .= "|${text}" left &= ~${mask ?? value} }`;
  });
  return [
    `function _${name}_str:string(whole:long) { s = "" left = whole & 0xffffffff`,
    ...tests,
    `if (left != 0 || s == "") s .= left == 0 ? "|0x0" : sprintf("|${format}", left)`,
    "return substr(s, 1, strlen(s)) }",
  ].join("\n");
}

function aliasesOf({ head, words }: Line): string {
  const [, call = "", sign, other = ""] = /^(\w+)(?:([=+])(\w+))?$/.exec(head) ?? [];
  const name = sign === "=" ? other : call;
  const args = words.map((word, index) => argumentOf(word, index + 1, words));
  const always = args.filter(({ condition }) => condition === undefined);
  const text =
    always.length === 0
      ? '""'
      : `sprintf("${always.map(({ format }) => format).join(", ")}", ${always.map(({ value }) => value).join(", ")})`;
  const conditional = args.flatMap(({ condition, format, value }) =>
    condition === undefined ? [] : [`if (${condition}) argstr .= sprintf(", ${format}", ${value})`],
  );
  const body = [...args.flatMap(({ statements }) => statements), `argstr = ${text}`, ...conditional];
  const point = `kernel.syscall("${call}")`;
  return [
    `probe syscall.${name} = ${point} { name = "${name}"\n${body.join("\n")} }`,
    `probe syscall.${name}.return = ${point}.return { name = "${name}" retstr = returnstr(1) }`,
    ...(sign === "=" ? [synonym(call, name)] : []),
    ...(sign === "+" ? [synonym(other, call)] : []),
  ].join("\n");
}

function synonym(name: string, of: string): string {
  return `probe syscall.${name} = syscall.${of} {}\nprobe syscall.${name}.return = syscall.${of}.return {}`;
}

function argumentOf(word: string, position: number, words: readonly string[]): Argument {
  const [variable = "", kind = ""] = word.split(":");
  const [what = "", other] = kind.split("@");
  const at = `pointer_arg(${String(position)})`;
  const text = (name: string, value: string, more: readonly string[] = []): Argument => ({
    statements: [...more, `${name} = ${value}`],
    format: "%s",
    value: name,
  });
  const address = `${variable}_uaddr = ${at}`;
  const unquoted = (name: string): string => `${name}_unquoted = user_string2(${at}, "")`;
  const number = NUMBERS[what];
  if (number !== undefined) {
    const read = `${variable} = ${number.read}(${String(position)})`;
    return { statements: [read], format: number.format, value: variable };
  }
  switch (what) {
    case "create": {
      const flags = words[Number(other) - 1]?.split(":")[0] ?? "";
      const mode = argumentOf(`${variable}:o`, position, words);
      return { ...mode, condition: `${flags} & ${String(O_CREAT)}` };
    }
    case "s":
      return text(variable, `user_string_quoted(${at})`, [unquoted(variable)]);
    case "us":
      return text(variable, `user_string_quoted(${at})`, [address, unquoted(variable)]);
    case "str":
      return text(`${variable}_str`, `user_string_quoted(${at})`, [address, unquoted(`${variable}_str`)]);
    case "argv":
      return text(variable, `_argv_str(${at})`);
    case "buf": {
      const value = `_buffer_str(${at}, ulong_arg(${other ?? ""}), ${String(SHOWN_BYTES)})`;
      return text(`${variable}_str`, value, [address]);
    }
    case "sockaddr":
      return text(`${variable}_str`, `_sockaddr_str(${at}, uint_arg(${other ?? ""}))`, [address]);
    case "timespec":
    case "timespec2":
    case "timeval":
    case "timeval2":
    case "itimerspec":
    case "itimerval":
    case "rlimit_u":
    case "sigset":
    case "sigaction":
      return text(`${variable}_str`, `_${what}_str(${at})`, [address]);
    default: {
      const read = what.endsWith("mask") || what === "clone" ? "ulong_arg" : "int_arg";
      return text(`${variable}_str`, `_${what}_str(${variable})`, [
        `${variable} = ${read}(${String(position)})`,
      ]);
    }
  }
}

function linesOf(table: string): Line[] {
  return table
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const colon = line.indexOf(":");
      return {
        head: line.slice(0, colon),
        words: line
          .slice(colon + 1)
          .split(" ")
          .filter((word) => word !== ""),
      };
    });
}
