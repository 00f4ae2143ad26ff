import { INTRINSICS } from "../../ir/intrinsics.js";
import type * as ir from "../../ir/ir.js";
import type { Shape } from "../../ir/shape.js";
import { registerIndex } from "../../arch/x86_64/registers.js";
import { assertNever } from "../../base/assert-never.js";

/**
 * IR to the text of a JavaScript function `(k, g, rt, F) => handlers`: `k` is the context, `g` the
 * globals by slot, `rt` the runtime's functions, `F` the compiled formats, patterns and shapes. A handler is
 * `{ run, entry }`, `entry` being a function for each value of the IR's.
 *
 * Integers are bigints, wrapped to 64 bits after every operation that can leave the range; strings
 * hold bytes as characters 0 … 255. Names of scripts get a prefix each, so that none meets ours.
 */
export function emit(program: ir.Program): Emitted {
  const emitter = new Emitter(program.globals);
  const functions = program.functions.map((each) => emitter.function(each));
  const handlers = program.handlers.map((each) => emitter.handler(each));
  const source = `"use strict";\n${emitter.prelude()}${functions.join("\n")}\nreturn [\n${handlers.join(",\n")}\n];`;
  return { source, formats: emitter.formats, patterns: emitter.patterns, shapes: emitter.shapes };
}

export interface Emitted {
  readonly source: string;
  /** Format strings, by the index that the code uses. */
  readonly formats: readonly string[];
  /** Regular expressions of `=~`, likewise. */
  readonly patterns: readonly string[];
  /** What `show` shows, likewise. */
  readonly shapes: readonly Shape[];
}

type Intrinsic = Extract<ir.Expression, { kind: "intrinsic" }>;

/** Expressions that give a fault in place of their value: see {@link raising}. */
type Read = Intrinsic | Extract<ir.Expression, { kind: "load" | "entry-value" }>;

function isRead(node: ir.Expression): node is Read {
  if (node.kind === "intrinsic") return INTRINSICS[node.name]?.faults === true;
  return node.kind === "load" || node.kind === "entry-value";
}

/** The value at hand in {@link raising}. */
const VALUE = "let v;\n";

/** What reads the target's memory returns its fault, and the handler itself throws it: see ReadFault. */
function raising(read: string): string {
  return `(typeof (v = ${read}) === "object" ? k.raise() : v)`;
}

/** `%m`, `%8M`: a directive up to its letter. */
const READS_MEMORY = /%[^a-zA-Z]*[mM]/;

class Emitter {
  readonly formats: string[] = [];
  readonly patterns: string[] = [];
  readonly shapes: Shape[] = [];
  private inFunction = false;
  /** What the function at hand returns where it says nothing else. */
  private nothing = "";
  private temporaries = 0;
  /** Takes the last read's fault to the catch part of the innermost fence of the function at hand. */
  private straight: string | undefined;
  private readonly slots: ReadonlyMap<string, number>;

  constructor(private readonly globals: readonly ir.Global[]) {
    this.slots = new Map(globals.map((each, slot) => [each.name, slot]));
  }

  /** Takes the globals out once, so that handlers reach them by one variable each. */
  prelude(): string {
    const lines = this.globals.map((each, slot) => {
      if (each.keys.length > 0) return `const g_${each.name} = g.array(${String(slot)});\n`;
      return each.type === "statistic" ? `const g_${each.name} = g.statistic(${String(slot)});\n` : "";
    });
    return `const longs = g.longs, strings = g.strings;\n${lines.join("")}`;
  }

  function(fn: ir.Function): string {
    this.inFunction = true;
    this.nothing = fn.returns === "void" ? "" : zero(fn.returns);
    const parameters = fn.parameters.map((each) => local(each.name)).join(", ");
    const body = `${VALUE}${locals(fn.locals)}${this.statements(fn.body)}`;
    return `function f_${fn.name}(where${parameters === "" ? "" : ", "}${parameters}) {\nk.enter(where);\n${body}k.depth--;\nreturn ${this.nothing};\n}`;
  }

  handler(handler: ir.Handler): string {
    this.inFunction = false;
    const entry = handler.entry.map((each) => `function () {\n${VALUE}return ${this.expression(each)};\n}`);
    return `{ run: function () {\n${VALUE}${locals(handler.locals)}${this.statements(handler.body)}}, entry: [${entry.join(", ")}] }`;
  }

  private statements(list: readonly ir.Statement[]): string {
    if (list.length === 0) return "";
    // Counted by the run of statements, not one by one: a handler stops a few statements early at most.
    const [first] = list;
    const where = quote(first?.where ?? "");
    return `if ((k.actions -= ${String(list.length)}) < 0) k.tooManyActions(${where});\n${list.map((each) => this.statement(each)).join("")}`;
  }

  private statement(node: ir.Statement): string {
    switch (node.kind) {
      case "evaluate":
        return this.fencedRead(node.expression) ?? `${this.discarded(node.expression)};\n`;
      case "print":
        // What is printed is bounded by the output, not by the length of a string.
        return `k.services.print(${node.text.kind === "format" ? this.formatted(node.text, "format") : this.expression(node.text)});\n`;
      case "print-histogram":
        return `k.where = ${quote(node.where)};\nk.services.print(rt.renderHistogram(${this.statistic(node.operand)}));\n`;
      case "aggregate":
        return `k.where = ${quote(node.where)};\n${this.aggregate(node.place, this.expression(node.value))};\n`;
      case "if": {
        const otherwise = node.otherwise.length === 0 ? "" : ` else {\n${this.statements(node.otherwise)}}`;
        return `if (${this.condition(node.condition)}) {\n${this.statements(node.then)}}${otherwise}\n`;
      }
      case "loop": {
        const step = node.step.map((each) => this.inStep(each)).join(", ");
        const condition = node.condition === undefined ? "" : this.condition(node.condition);
        return `${this.statements(node.initial)}for (; ${condition}; ${step}) {\nif (--k.actions < 0) k.tooManyActions(${quote(node.where)});\n${this.statements(node.body)}}\n`;
      }
      case "foreach":
        return this.foreach(node);
      case "break":
      case "continue":
        return `${node.kind};\n`;
      case "next":
        return this.inFunction ? "k.next();\n" : "return;\n";
      case "return":
        // Without a value, in a function that elsewhere returns one: nothing, of that one's type.
        if (node.value === undefined) return `{ k.depth--; return ${this.nothing}; }\n`;
        return `{ const value = ${this.expression(node.value)}; k.depth--; return value; }\n`;
      case "delete-element":
        return `g_${node.array}.delete(${this.keys(node.keys)});\n`;
      case "delete-slice":
        return `rt.deleteSlice(g_${node.array}, ${this.slice(node.slice)});\n`;
      case "clear":
        return this.clear(node.global);
      case "reset-local":
        return `${local(node.name)} = ${zero(node.type)};\n`;
      case "fence":
        return this.fence(node);
      default:
        return assertNever(node);
    }
  }

  /** The step of a loop is an expression. */
  private inStep(node: ir.Statement): string {
    if (node.kind === "evaluate") return this.discarded(node.expression);
    return `(() => { ${this.outsideFences(() => this.statement(node))} })()`;
  }

  /** `o` is left when the body ran through; `c` leads to the catch part, from an exception or straight from a read. */
  private fence(node: Extract<ir.Statement, { kind: "fence" }>): string {
    const id = String(this.temporaries++);
    const take = (what: string): string => {
      const caught = `k.caught(${what}, d${id})`;
      return node.message === undefined ? caught : this.assign(node.message, `k.messageOf(${caught})`);
    };
    const outer = this.straight;
    this.straight = `${take("k.readFault")}; break c${id};`;
    const body = this.statements(node.body);
    this.straight = outer;
    return `o${id}: {\nc${id}: {\nconst d${id} = k.depth;\ntry {\n${body}break o${id};\n} catch (e) {\n${take("e")};\n}\n}\n${this.statements(node.handler)}}\n`;
  }

  /**
   * A read that is a statement, or assigned by one, directly in a fence: its fault goes straight to the
   * catch part. An exception would take as long as the read itself.
   */
  private fencedRead(node: ir.Expression): string | undefined {
    if (this.straight === undefined) return undefined;
    const [place, read] = node.kind === "assign" ? [node.place, node.value] : [undefined, node];
    if (!isRead(read) || place?.kind === "element") return undefined;
    const then = place === undefined ? "" : `${this.assign(place, "v")};\n`;
    return `if (typeof (v = ${this.read(read)}) === "object") { ${this.straight} }\n${then}`;
  }

  /** What becomes a function of its own in the generated code cannot leave a fence by `break`. */
  private outsideFences(emit: () => string): string {
    const { straight } = this;
    this.straight = undefined;
    const text = emit();
    this.straight = straight;
    return text;
  }

  private foreach(node: Extract<ir.Statement, { kind: "foreach" }>): string {
    const id = String(this.temporaries++);
    const item = `i${id}`;
    const operator = node.field ?? "count";
    const isStatistic = this.globals[this.slots.get(node.array) ?? -1]?.type === "statistic";
    const by =
      node.by === undefined
        ? undefined
        : node.by > 0
          ? `{ kind: "key", index: ${String(node.by - 1)} }`
          : isStatistic
            ? `{ kind: "statistic", operator: ${quote(operator)} }`
            : '{ kind: "value" }';
    const order =
      by === undefined
        ? ""
        : `order: { by: ${by}, direction: "${node.descending ? "descending" : "ascending"}" }, `;
    const slice = node.slice.length === 0 ? "" : `slice: ${this.slice(node.slice)}, `;
    const limit = node.limit === undefined ? "" : `limit: ${this.expression(node.limit)}`;
    const keys = node.keys
      .map((key, index) => `${this.assign(key, `${item}.keys[${String(index)}]`)};\n`)
      .join("");
    const read = isStatistic ? `rt.extract(${item}.value, ${quote(operator)})` : `${item}.value`;
    const value = node.value === undefined ? "" : `${this.assign(node.value, read)};\n`;
    return `for (const ${item} of rt.snapshot(g_${node.array}, { ${order}${slice}${limit} })) {\nif (--k.actions < 0) k.tooManyActions(${quote(node.where)});\n${keys}${value}${this.statements(node.body)}}\n`;
  }

  /** An expression whose value nobody wants: the cheap form of `n++`. */
  private discarded(node: ir.Expression): string {
    if (node.kind === "update") return this.update({ ...node, old: false }, true);
    if (node.kind === "assign" && node.place.kind === "element" && node.place.keys.every(isConstantDuring)) {
      const { array, keys, where } = node.place;
      return `(k.where = ${quote(where)}, g_${array}.set(${this.expression(node.value)}, ${this.keys(keys)}))`;
    }
    return this.expression(node);
  }

  /** An expression as JavaScript's own truth, where it is one of truth; else a comparison with 0. */
  private condition(node: ir.Expression): string {
    return isTruth(node) ? this.truth(node) : `(${this.expression(node)}) !== 0n`;
  }

  private truth(node: Truth): string {
    switch (node.kind) {
      case "compare":
        return `${this.expression(node.left)} ${strict(node.operator)} ${this.expression(node.right)}`;
      case "logic":
        return `(${this.condition(node.left)}) ${node.operator} (${this.condition(node.right)})`;
      case "not":
        return `!(${this.condition(node.operand)})`;
      case "has":
        return `g_${node.array}.has(${this.keys(node.keys)})`;
      case "has-slice":
        return `rt.hasSlice(g_${node.array}, ${this.slice(node.slice)})`;
      case "match":
        return `${node.negated ? "!" : ""}F.patterns[${String(this.pattern(node.pattern))}].test(${this.expression(node.operand)})`;
      default:
        return assertNever(node);
    }
  }

  private expression(node: ir.Expression): string {
    switch (node.kind) {
      case "long":
        return node.value < 0n ? `(${node.value.toString()}n)` : `${node.value.toString()}n`;
      case "string":
        return quote(node.value);
      case "local":
        return local(node.name);
      case "global":
        return this.scalar(node);
      case "element":
        return `g_${node.array}.get(${this.keys(node.keys)})`;
      case "arithmetic":
        return this.arithmetic(
          node.operator,
          this.expression(node.left),
          this.expression(node.right),
          node.where,
        );
      case "compare":
      case "logic":
      case "not":
      case "has":
      case "has-slice":
      case "match":
        return `(${this.truth(node)} ? 1n : 0n)`;
      case "negate":
        return `BigInt.asIntN(64, -(${this.expression(node.operand)}))`;
      case "complement":
        return `~(${this.expression(node.operand)})`;
      case "concatenate":
        return `rt.cut(${this.expression(node.left)} + ${this.expression(node.right)})`;
      case "choose":
        return `(${this.condition(node.condition)} ? ${this.expression(node.then)} : ${this.expression(node.otherwise)})`;
      case "assign":
        return this.assign(node.place, this.expression(node.value));
      case "update":
        return this.update(node);
      case "statistic":
        return `(k.where = ${quote(node.where)}, rt.extract(${this.statistic(node.operand)}, ${quote(node.field)}))`;
      case "call":
        return `f_${node.function}(${[quote(node.where), ...node.arguments.map((each) => this.expression(each))].join(", ")})`;
      case "intrinsic":
        return isRead(node) ? raising(this.read(node)) : this.call(node);
      case "load":
      case "entry-value":
        return raising(this.read(node));
      case "register":
        return `(k.where = ${quote(node.where)}, rt.generalRegister(${String(registerIndex(node.register))}))`;
      case "bits":
        return bits(this.expression(node.operand), node);
      case "static-address": {
        const { image, address, perCpu, where } = node;
        return `(k.where = ${quote(where)}, rt.staticAddress(${quote(image)}, ${address.toString()}n, ${String(perCpu)}))`;
      }
      case "show": {
        const shape = this.shapes.push(node.shape) - 1;
        const value = this.outsideFences(() => this.expression(node.operand));
        // A function, so that what fails on the way to the value is shown as what fails at its end is.
        return `rt.show(F.shapes[${String(shape)}], ${String(node.from === "address")}, () => ${value}, (k.where = ${quote(node.where)}, undefined))`;
      }
      case "format":
        return this.formatted(node, "formatToString");
      default:
        return assertNever(node);
    }
  }

  private formatted(
    node: Extract<ir.Expression, { kind: "format" }>,
    by: "format" | "formatToString",
  ): string {
    const values = node.arguments.map((each) => this.expression(each)).join(", ");
    // Only a dump of the target's memory can fail; the place is noted as for intrinsics.
    const where = READS_MEMORY.test(node.format.replaceAll("%%", ""))
      ? `, k.where = ${quote(node.where)}`
      : "";
    return `rt.${by}(F.formats[${String(this.formatIndex(node.format))}], [${values}]${where})`;
  }

  /** What gives the value or the fault. */
  private read(node: Read): string {
    switch (node.kind) {
      case "intrinsic":
        return this.call(node);
      case "load": {
        const read = `load${String(node.bytes)}${node.signed ? "s" : "u"}`;
        return `rt.${read}(${this.expression(node.address)}, (k.where = ${quote(node.where)}, undefined))`;
      }
      case "entry-value":
        return `(k.where = ${quote(node.where)}, rt.entryValue(${String(node.index)}))`;
    }
  }

  /** The place is noted behind the arguments, which may note their own: as one argument more, which nobody reads. */
  private call(node: Intrinsic): string {
    const where = `k.where = ${quote(node.where)}`;
    const values = node.arguments.map((each) => this.expression(each));
    const { length } = node.arguments;
    if (length === 0) return `(${where}, rt.${node.name}())`;
    return `rt.${node.name}(${[...values, `(${where}, undefined)`].join(", ")})`;
  }

  private arithmetic(operator: ir.Arithmetic | ".", left: string, right: string, where: string): string {
    switch (operator) {
      case ".":
        return `rt.cut(${left} + ${right})`;
      case "+":
      case "-":
      case "*":
        return `BigInt.asIntN(64, ${left} ${operator} ${right})`;
      case "/":
        return `(k.where = ${quote(where)}, rt.divide(${left}, ${right}))`;
      case "%":
        return `(k.where = ${quote(where)}, rt.remainder(${left}, ${right}))`;
      case "&":
      case "|":
      case "^":
        return `(${left} ${operator} ${right})`;
      case "<<":
        return `rt.shiftLeft(${left}, ${right})`;
      case ">>":
        return `rt.shiftRight(${left}, ${right})`;
      case ">>>":
        return `rt.shiftRightUnsigned(${left}, ${right})`;
      default:
        return assertNever(operator);
    }
  }

  private assign(place: ir.Place, value: string): string {
    switch (place.kind) {
      case "local":
        return `(${local(place.name)} = ${value})`;
      case "global":
        return `(${this.scalar(place)} = ${value})`;
      case "element":
        return `(k.where = ${quote(place.where)}, rt.store(g_${place.array}, [${this.keys(place.keys)}], ${value}))`;
    }
  }

  private update(node: Extract<ir.Expression, { kind: "update" }>, discarded = false): string {
    const { place } = node;
    const value = this.expression(node.value);
    if (place.kind === "element") {
      const sum = node.operator === "+" || node.operator === "-";
      if (sum && !node.old) {
        const delta = node.operator === "+" ? value : `-(${value})`;
        return `(k.where = ${quote(place.where)}, g_${place.array}.add(${delta}, ${this.keys(place.keys)}))`;
      }
      // The keys are evaluated once, as a reader expects of `a[f()]++`.
      const apply = `(old) => ${this.arithmetic(node.operator, "old", value, node.where)}`;
      return `(k.where = ${quote(place.where)}, rt.update(g_${place.array}, [${this.keys(place.keys)}], ${apply}, ${String(node.old)}))`;
    }
    if (discarded && place.kind === "global" && (node.operator === "+" || node.operator === "-")) {
      return `${this.scalar(place)} ${node.operator}= ${value}`; // the array of 64-bit integers wraps by itself
    }
    const now = this.assign(place, this.arithmetic(node.operator, this.expression(place), value, node.where));
    if (!node.old) return now;
    return `rt.first(${this.expression(place)}, ${now})`;
  }

  private scalar(place: Extract<ir.Place, { kind: "global" }>): string {
    const slot = String(this.slots.get(place.name));
    if (place.type === "statistic") return `g_${place.name}`;
    return place.type === "string" ? `strings[${slot}]` : `longs[${slot}]`;
  }

  private clear(name: string): string {
    const slot = this.slots.get(name) ?? -1;
    const global = this.globals[slot];
    if (global === undefined || global.keys.length > 0 || global.type === "statistic")
      return `g_${name}.clear();\n`;
    return global.type === "string" ? `strings[${String(slot)}] = "";\n` : `longs[${String(slot)}] = 0n;\n`;
  }

  private statistic(place: ir.Place): string {
    return this.expression(place);
  }

  private aggregate(place: ir.Place, value: string): string {
    if (place.kind !== "element") return `${this.expression(place)}.add(${value})`;
    return `g_${place.array}.add(${value}, ${this.keys(place.keys)})`;
  }

  private keys(keys: readonly ir.Expression[]): string {
    return keys.map((key) => this.expression(key)).join(", ");
  }

  private slice(slice: ir.Slice): string {
    return `[${slice.map((key) => (key === undefined ? "undefined" : this.expression(key))).join(", ")}]`;
  }

  private formatIndex(format: string): number {
    return indexIn(this.formats, format);
  }

  private pattern(pattern: string): number {
    return indexIn(this.patterns, pattern);
  }
}

/** Expressions that are 1 or 0. */
type Truth = Extract<ir.Expression, { kind: "compare" | "logic" | "not" | "has" | "has-slice" | "match" }>;

function isTruth(node: ir.Expression): node is Truth {
  return ["compare", "logic", "not", "has", "has-slice", "match"].includes(node.kind);
}

function bits(value: string, node: Extract<ir.Expression, { kind: "bits" }>): string {
  const { offset, width, signed } = node;
  const shifted = offset === 0 ? value : `(${value} >> ${String(offset)}n)`;
  const cut = `BigInt.as${signed ? "Int" : "Uint"}N(${String(width)}, ${shifted})`;
  return width === 64 && !signed ? `BigInt.asIntN(64, ${cut})` : cut;
}

function strict(operator: ir.Comparison): string {
  return operator === "==" || operator === "!=" ? `${operator}=` : operator;
}

/** Keys that the evaluation of a value cannot change, so that they may be evaluated behind it. */
function isConstantDuring(key: ir.Expression): boolean {
  return key.kind === "long" || key.kind === "string";
}

function indexIn(list: string[], item: string): number {
  const index = list.indexOf(item);
  return index >= 0 ? index : list.push(item) - 1;
}

function locals(list: readonly ir.Local[]): string {
  return list.map((each) => `let ${local(each.name)} = ${zero(each.type)};\n`).join("");
}

function local(name: string): string {
  return `l_${name}`;
}

function zero(type: ir.ValueType): string {
  return type === "string" ? '""' : "0n";
}

function quote(text: string): string {
  // JSON leaves two characters that end a line in JavaScript's older rules; bytes never are those.
  return JSON.stringify(text);
}
