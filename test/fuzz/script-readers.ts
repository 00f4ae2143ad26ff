import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileHandlers } from "../../src/handlers/js/compile.js";
import { HandlerContext, type SessionServices } from "../../src/runtime/context.js";
import { parseDefinitions } from "../../src/runtime/limits.js";
import { compile, parseScript } from "../../src/script/compile.js";
import { printScript } from "../../src/script/print.js";
import { compileGlob } from "../../src/symbols/glob.js";
import type { ProbedCodes } from "../../src/script/probed-code.js";
import { SCENE } from "../script/run.js";
import { READ, TYPES } from "../script/sample-types.js";
import { code } from "../script/types.js";
import { mutateText } from "./mutate-text.js";
import type { Original, Reader } from "./reader.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** What the language is made of, and what is deep, long or ends in the middle of something. */
const WORDS: readonly string[] = [
  "probe", "global", "private", "function", "if (1)", "else", "for (;;)", "foreach (x in a)", "foreach ([i, j] in a- limit 3)",
  "in", "limit", "return", "delete a", "while (0)", "break", "continue", "next", "string", "long", "try {", "} catch (m) {",
  "begin", "end", "never", "error", "timer.s(1)", "process(\"x\").function(\"f\")", "syscall.open", "pre", "post", "fault",
  "kernel.statement(1)", "{", "}", "(", ")", "[", "]", ";", ",", ":", "::", ".", "?", "!", "+", "- ", "++", "--", "**", "/",
  "%", "=~ \"(a|b)*c{2,3}\"", "!~", "<<<", "<<=", "->", "&&", "||", "==", "=", "$x", "$$vars", "$x$$", "$1", "@1", "$#", "@#",
  "@define m %( 1 %)", "@define m(a, b) %( @a @b %)", "@m", "@m(1, 2)", "@count(s)", "@hist_log(s)", "@hist_linear(s, 0, 10, 1)",
  "@defined($x)", "$file->f_flags", "&$file->f_path->dentry", "$count", "$buf$", "$file$$", "$$parms$", "$return", "[$count]",
  "->d_name[1]", "@entry(", "@var(\"jiffies\")", "@cast($file, \"file\")", "@choose_defined($x, 1)", ".return", "kernel.function(\"f\")", "@cast(1, \"a\")->b", "%( 1 == 1 %? ", "%( $# > 1 %? 1 %: 2 %)", "%(", "%)", "%?", "%:", "%{", "%}", "/*", "*/", "//", "#", "\"",
  "\"\\", "\\x", "'", "0x", "08", "0777", "99999999999999999999", "9223372036854775808", "printf(\"%d %s %5.3x\\n\", 1, \"a\", 2)",
  "sprintf(\"%-*d\", 1, 2)", "print(1)", "println(a)", "a[1, \"b\"]", "a[*]", "s <<< 1", "x = y = z", "1 ? 2 : 3", "a[2000000000]",
  "a%[10]", "__proto__", "constructor", "f(1)(2)", "next; next", "-", "!", "~",
]; // prettier-ignore

/** What types are asked for. */
const CONTEXT = `
function flags(f) { return @cast(f, "file", "kernel<linux/fs.h>")->f_flags }
probe kernel.function("f") {
  if (@defined($file->f_pos) && !@defined($nothing)) x = $file->f_path->dentry->d_name[$count & 7]
  else $nothing->x->y++
  try { println(flags($file), $file->f_b, kernel_string($buf), $pos[1], &$file->f_pos) } catch (m) { println(m) }
  printf("%s %s %s %p\\n", $file$, $file->f_path->dentry$$, $$parms, @var("jiffies@time.c"))
}
probe kernel.function("f").return {
  println($return, $count, @entry(flags($file)), @choose_defined($file->nothing, $file->f_a), $$return)
}
`;

const CODES: ProbedCodes = {
  codesOf({ components }) {
    const has = (word: string): boolean => components.some(({ name }) => name === word);
    if (!has("function")) return undefined;
    return [code("f", READ, { types: TYPES, at: has("return") ? "return" : "entry" })];
  },
  typesOf: (module) =>
    module === undefined || module === "kernel" ? code("", undefined, { types: TYPES }) : undefined,
};

function scripts(): Original[] {
  const found: Original[] = [];
  for (const folder of ["examples", "src/tapset"]) {
    if (!existsSync(join(ROOT, folder))) continue;
    for (const name of readdirSync(join(ROOT, folder)).filter((each) => each.endsWith(".stp")))
      found.push({ name, bytes: readFileSync(join(ROOT, folder, name)) });
  }
  found.push({ name: "context variables", bytes: Buffer.from(CONTEXT) });
  for (const name of readdirSync(join(ROOT, "test/script")).filter((each) => each.endsWith(".test.ts"))) {
    const source = readFileSync(join(ROOT, "test/script", name), "utf8");
    // Whole scripts as they stand in tests; what is put together there is left out.
    for (const [, text = ""] of source.matchAll(/`([^`$]*\bprobe [^`$]*)`/g))
      found.push({ name, bytes: Buffer.from(text.replaceAll("\\\\", "\\")) });
  }
  return found;
}

const LIMITS = parseDefinitions([]);

const services: SessionServices = {
  limits: LIMITS,
  strictFaults: false,
  print: () => undefined,
  warn: () => undefined,
  log: () => undefined,
  exit: () => undefined,
};

/** The front end of the language, up to functions that could be called; and patterns. */
export function scriptReaders(): Reader[] {
  const originals = scripts();
  const patterns = [
    "*",
    "a*b*c*d*e*f",
    "[a-z]*[!0-9]?",
    "[[:alpha:][:digit:]]*\\*",
    "std::*::operator*",
    "[",
    "[]-a]*",
  ].map((pattern): Original => ({ name: pattern, bytes: Buffer.from(pattern) }));
  return [
    {
      name: "script",
      originals,
      mutate: (original, random) => mutateText(original, random, WORDS, originals),
      // An argument of the script is text of its own, with lines and columns of its own.
      sentence: /(the-input|<argument \S+>)(:\d+:\d+| EOF)/,
      read(bytes, name) {
        const options = {
          name,
          text: bytes.toString("utf8"),
          codes: CODES,
          arguments: ["7", 'a "b'],
          limits: LIMITS,
          globals: new Map<string, string>(),
          library: [],
        };
        const parsed = parseScript(options);
        printScript(parsed.script);
        const { program, warnings } = compile(options, parsed);
        compileHandlers(program, new HandlerContext(services), SCENE);
        return warnings.length > 0 ? "warned" : "answered";
      },
    },
    {
      name: "glob",
      originals: patterns,
      mutate: (original, random) =>
        mutateText(original, random, ["*", "?", "[", "]", "[^", "[:alpha:]", "a-"], patterns),
      read(bytes) {
        const glob = compileGlob(bytes.toString("utf8"));
        for (const name of [
          "",
          "main",
          "a".repeat(300),
          "std::vector<int>::operator[](unsigned long)",
          "abcdef".repeat(40),
        ])
          glob.matches(name);
        return glob.exact === undefined ? "answered" : "warned";
      },
    },
  ];
}
