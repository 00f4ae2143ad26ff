import type * as ir from "../../ir/ir.js";
import { MESSAGES } from "../../runtime/errors.js";
import type { Condition, General } from "../../arch/x86_64/assembler.js";
import { GENERAL_REGISTERS } from "../../arch/x86_64/assembler.js";
import type { Mark, Source, Temporary, Value } from "./code.js";
import { CodeWriter } from "./code-writer.js";
import { constantOf } from "./fold.js";
import { type GlobalLayout, type PlacedGlobal, STATISTIC } from "./global-layout.js";
import { assignsLocal, touchesGlobal } from "./parts.js";

const CONDITIONS: Readonly<Record<ir.Comparison, Condition>> = {
  "<": "less",
  "<=": "less-or-equal",
  ">": "greater",
  ">=": "greater-or-equal",
  "==": "equal",
  "!=": "not-equal",
};

const OPPOSITES: Readonly<Record<ir.Comparison, ir.Comparison>> = {
  "<": ">=",
  "<=": ">",
  ">": "<=",
  ">=": "<",
  "==": "!=",
  "!=": "==",
};

/** With left and right changed over. */
const MIRRORED: Readonly<Record<ir.Comparison, ir.Comparison>> = {
  "<": ">",
  "<=": ">=",
  ">": "<",
  ">=": "<=",
  "==": "==",
  "!=": "!=",
};

const PLAIN = { "+": "add", "-": "sub", "*": "multiply", "&": "and", "|": "or", "^": "xor" } as const;
const SHIFTS = { "<<": "shl", ">>": "sar", ">>>": "shr" } as const;
const CHANGES = { "+": "add", "-": "sub", "&": "and", "|": "or", "^": "xor" } as const;

/** How a handler is built. */
export interface BuildOptions {
  /** Holds the lock, so that nobody else changes a global meanwhile. */
  readonly alone: boolean;
  /** Registers that are copied where their value at the probed instruction is wanted. */
  readonly copied: ReadonlySet<General>;
  /** Statements are counted. */
  readonly counting: boolean;
}

type Assign = Extract<ir.Expression, { kind: "assign" }>;
type Update = Extract<ir.Expression, { kind: "update" }>;

/** Makes code of expressions. Order of evaluation is the JavaScript back end's: from left to right. */
export abstract class ExpressionBuilder extends CodeWriter {
  /** Of the body at hand. */
  protected locals: ReadonlyMap<string, Temporary> = new Map();
  private readonly areLocals = new Set<number>();

  constructor(
    protected readonly layout: GlobalLayout,
    protected readonly options: BuildOptions,
  ) {
    super();
  }

  /** Puts the body of the function here. */
  protected abstract call(node: Extract<ir.Expression, { kind: "call" }>): Value;

  protected abstract intrinsic(node: Extract<ir.Expression, { kind: "intrinsic" }>): Value;

  /** Where a script error goes. */
  protected abstract raised(message: string, where: string): Mark;

  /** Where a fault of the handler goes. */
  protected abstract faulted(): Mark;

  protected declare(names: readonly ir.Local[]): ReadonlyMap<string, Temporary> {
    // Strings have no place; who reads one is refused.
    const longs = names.filter(({ type }) => type === "long");
    return new Map(
      longs.map(({ name }) => {
        const temporary = this.temporary();
        this.areLocals.add(temporary.number);
        return [name, temporary];
      }),
    );
  }

  protected local(name: string, type: ir.ValueType): Temporary {
    if (type !== "long") this.refuse(`the ${type} '${name}'`);
    const found = this.locals.get(name);
    if (found === undefined) throw new Error(`the IR names a local variable that is not there: ${name}`);
    return found;
  }

  protected global(name: string): PlacedGlobal {
    const found = this.layout.globals.get(name);
    if (found === undefined) throw new Error(`the IR names a global that is not there: ${name}`);
    if (found.kind === "elsewhere") this.refuse(`'${name}', which is ${found.what}`);
    return found;
  }

  protected long(name: string): number {
    const found = this.global(name);
    if (found.kind !== "long") throw new Error(`'${name}' is taken for a long`);
    return found.at;
  }

  /** A value that stays what it is while others are evaluated. */
  private stable(value: Value, ...others: readonly ir.Expression[]): Value {
    const changes =
      value.kind === "temporary" && this.areLocals.has(value.number) && others.some(assignsLocal);
    return changes ? this.copy(value) : value;
  }

  /** What can stand on the right of an operator, nothing being evaluated between here and there. */
  protected source(node: ir.Expression): Source {
    if (node.kind === "global") return { kind: "word", at: this.long(node.name) };
    return this.value(node);
  }

  /** An expression whose value nobody wants. */
  protected discard(node: ir.Expression): void {
    if (node.kind === "update") this.update(node, true);
    else if (node.type === "long" || node.type === "void") this.value(node);
    else this.refuse(`a ${node.type}`);
  }

  protected value(node: ir.Expression): Value {
    const known = constantOf(node);
    if (known !== undefined) return this.constant(known);
    switch (node.kind) {
      case "local":
        return this.local(node.name, node.type);
      case "global":
        return this.copy({ kind: "word", at: this.long(node.name) });
      case "register":
        return this.register(node.register, node.where);
      case "load":
        return this.load(this.value(node.address), node.bytes, node.signed);
      case "bits":
        return this.bits(this.value(node.operand), node.offset, node.width, node.signed);
      case "arithmetic": {
        const left = this.stable(this.value(node.left), node.right);
        return this.calculate(node.operator, left, this.source(node.right), node.where);
      }
      case "compare":
        return this.compared(node);
      case "logic":
      case "not":
        return this.truth(node);
      case "negate":
        return this.unary("neg", this.value(node.operand));
      case "complement":
        return this.unary("not", this.value(node.operand));
      case "choose":
        return this.choose(node);
      case "assign":
        return this.assign(node);
      case "update":
        return this.update(node, false);
      case "statistic":
        return this.statistic(node);
      case "call":
        return this.call(node);
      case "intrinsic":
        return this.intrinsic(node);
      case "element":
      case "has":
      case "has-slice":
        return this.refuse(`the array '${node.array}'`);
      case "string":
      case "concatenate":
      case "match":
      case "show":
      case "format":
        return this.refuse("a string");
      case "static-address":
        return this.refuse("a variable with static storage", node.where);
      case "entry-value":
        return this.refuse("a value of the function's entry", node.where);
      case "long":
        throw new Error("a constant is folded");
    }
  }

  // Registers and memory of the target.

  protected register(name: string, where: string): Value {
    if (name === "rsp") {
      const to = this.temporary();
      this.put({ op: "stack-pointer", to });
      return to;
    }
    if (name === "rip") return this.probedAddress();
    const register = GENERAL_REGISTERS.find((each) => each === name);
    if (register === undefined) this.refuse(`the register ${name}`, where);
    if (!this.options.copied.has(register)) return { kind: "entry", register };
    const to = this.temporary();
    this.put({ op: "move-entry", to, register });
    return to;
  }

  protected probedAddress(): Temporary {
    const to = this.temporary();
    this.put({ op: "probed-address", to });
    return to;
  }

  protected load(address: Value, bytes: 1 | 2 | 4 | 8, signed: boolean): Temporary {
    const to = this.temporary();
    this.put({ op: "load", to, address: this.inRegister(address), bytes, signed, fault: this.faulted() });
    return to;
  }

  protected bits(value: Value, offset: number, width: number, signed: boolean): Value {
    if (offset + width === 64 && offset > 0) return this.shift(signed ? "sar" : "shr", value, offset);
    const shifted = offset === 0 ? value : this.shift("sar", value, offset);
    if (width === 64) return shifted;
    if (width === 8 || width === 16 || width === 32) {
      const to = this.temporary();
      const from = shifted.kind === "constant" ? this.copy(shifted) : shifted;
      this.put({ op: "extend", to, from, bytes: (width / 8) as 1 | 2 | 4, signed });
      return to;
    }
    if (!signed && width < 32)
      return this.arithmetic("and", shifted, { kind: "constant", value: 2 ** width - 1 });
    return this.shift(signed ? "sar" : "shr", this.shift("shl", shifted, 64 - width), 64 - width);
  }

  // Operators.

  private calculate(operator: ir.Arithmetic | ".", left: Value, right: Source, where: string): Value {
    switch (operator) {
      case "+":
      case "-":
      case "*":
      case "&":
      case "|":
      case "^":
        return this.arithmetic(PLAIN[operator], left, right);
      case "<<":
      case ">>":
      case ">>>": {
        if (right.kind === "constant") {
          const count = right.value & 63;
          return count === 0 ? left : this.shift(SHIFTS[operator], left, count);
        }
        const count = this.copy(right, "rcx");
        const to = this.temporary();
        this.put({ op: "shift", name: SHIFTS[operator], to, left, count });
        return to;
      }
      case "/":
      case "%":
        if (right.kind === "constant") return this.divideByConstant(operator, left, right.value, where);
        return this.divide(operator, left, this.inTemporary(right), where);
      case ".":
        return this.refuse("a string", where);
    }
  }

  private divideByConstant(operator: "/" | "%", left: Value, by: number, where: string): Value {
    if (by === 0) {
      this.jump(this.raised(MESSAGES.divisionByZero, where));
      return { kind: "constant", value: 0 };
    }
    if (by === 1 || by === -1) {
      if (operator === "%") return { kind: "constant", value: 0 };
      return by === 1 ? left : this.unary("neg", left);
    }
    const power = Math.log2(by);
    if (!Number.isInteger(power))
      return this.divided(operator, left, this.copy({ kind: "constant", value: by }));
    // Towards zero: a negative number is first brought up by what the shift would cut off.
    const sign = this.shift("sar", left, 63);
    const raised = this.arithmetic("add", left, this.shift("shr", sign, 64 - power));
    if (operator === "/") return this.shift("sar", raised, power);
    return this.arithmetic("sub", left, this.shift("shl", this.shift("sar", raised, power), power));
  }

  /** The processor has an exception of its own for -2^63 / -1, and one for 0. */
  private divide(operator: "/" | "%", left: Value, by: Temporary, where: string): Value {
    const result = this.temporary();
    const [special, done] = [this.mark(), this.mark()];
    this.jumpIf("equal", by, { kind: "constant", value: 0 }, this.raised(MESSAGES.divisionByZero, where));
    this.jumpIf("equal", by, { kind: "constant", value: -1 }, special);
    this.seldom(() => {
      this.here(special);
      const from: Value = operator === "/" ? this.unary("neg", left) : { kind: "constant", value: 0 };
      this.put({ op: "move", to: result, from });
      this.jump(done);
    });
    this.put({ op: "move", to: result, from: this.divided(operator, left, by) });
    this.here(done);
    return result;
  }

  private divided(operator: "/" | "%", left: Value, by: Temporary): Temporary {
    const [dividend, quotient] = [this.copy(left, "rax"), this.temporary("rax")];
    const remainder = this.temporary("rdx");
    this.put({ op: "divide", signed: true, dividend, by, quotient, remainder });
    // Out of the register that others may insist on.
    return this.copy(operator === "/" ? quotient : remainder);
  }

  private compared(node: Extract<ir.Expression, { kind: "compare" }>): Value {
    const { operator, left, right } = this.sides(node);
    const to = this.temporary();
    this.put({ op: "set-if", condition: CONDITIONS[operator], left, right, to });
    return to;
  }

  /** What is on the left is in a register. */
  private sides(node: Extract<ir.Expression, { kind: "compare" }>): {
    readonly operator: ir.Comparison;
    readonly left: ReturnType<CodeWriter["inRegister"]>;
    readonly right: Source;
  } {
    if (node.left.type !== "long") this.refuse(`a ${node.left.type}`);
    const left = this.stable(this.value(node.left), node.right);
    const right = this.source(node.right);
    if (left.kind === "constant" && right.kind !== "constant")
      return { operator: MIRRORED[node.operator], left: this.inRegister(right), right: left };
    return { operator: node.operator, left: this.inRegister(left), right };
  }

  private truth(node: ir.Expression): Value {
    const result = this.temporary();
    const [yes, no, done] = [this.mark(), this.mark(), this.mark()];
    this.branch(node, yes, no, "yes");
    this.here(yes);
    this.put({ op: "move", to: result, from: { kind: "constant", value: 1 } });
    this.jump(done);
    this.here(no);
    this.put({ op: "move", to: result, from: { kind: "constant", value: 0 } });
    this.here(done);
    return result;
  }

  private choose(node: Extract<ir.Expression, { kind: "choose" }>): Value {
    if (node.type !== "long") this.refuse(`a ${node.type}`);
    const result = this.temporary();
    const [yes, no, done] = [this.mark(), this.mark(), this.mark()];
    this.branch(node.condition, yes, no, "yes");
    this.here(yes);
    this.put({ op: "move", to: result, from: this.value(node.then) });
    this.jump(done);
    this.here(no);
    this.put({ op: "move", to: result, from: this.value(node.otherwise) });
    this.here(done);
    return result;
  }

  /** @param next which of the two comes right behind */
  protected branch(node: ir.Expression, yes: Mark, no: Mark, next: "yes" | "no"): void {
    const known = constantOf(node);
    if (known !== undefined) return this.jump(known === 0n ? no : yes);
    switch (node.kind) {
      case "not":
        return this.branch(node.operand, no, yes, next === "yes" ? "no" : "yes");
      case "logic": {
        const middle = this.mark();
        if (node.operator === "&&") this.branch(node.left, middle, no, "yes");
        else this.branch(node.left, yes, middle, "no");
        this.here(middle);
        return this.branch(node.right, yes, no, next);
      }
      case "compare": {
        const { operator, left, right } = this.sides(node);
        if (next === "no") return this.jumpIf(CONDITIONS[operator], left, right, yes);
        return this.jumpIf(CONDITIONS[OPPOSITES[operator]], left, right, no);
      }
      default: {
        const value = this.value(node);
        const nothing = { kind: "constant", value: 0 } as const;
        if (next === "no") return this.jumpIf("not-equal", value, nothing, yes);
        return this.jumpIf("equal", value, nothing, no);
      }
    }
  }

  // Variables.

  private assign(node: Assign): Value {
    const { place } = node;
    if (place.kind === "element") this.refuse(`the array '${place.array}'`, place.where);
    if (place.type !== "long") this.refuse(`the ${place.type} '${place.name}'`);
    const value = this.value(node.value);
    if (place.kind === "local") this.put({ op: "move", to: this.local(place.name, place.type), from: value });
    else this.put({ op: "store", at: this.long(place.name), from: value });
    return value;
  }

  private update(node: Update, discarded: boolean): Value {
    const { place } = node;
    if (place.kind === "element") this.refuse(`the array '${place.array}'`, place.where);
    if (place.type !== "long") this.refuse(`the ${place.type} '${place.name}'`, node.where);
    if (place.kind === "local") return this.updateLocal(node, this.local(place.name, place.type));
    const at = this.long(place.name);
    const { operator } = node;
    const isChange = operator in CHANGES;
    const { alone } = this.options;
    if (discarded && isChange && !(alone && touchesGlobal(node.value))) {
      const name = CHANGES[operator as keyof typeof CHANGES];
      this.put({ op: "change", name, at, by: this.value(node.value), locked: !alone });
      return { kind: "constant", value: 0 };
    }
    if (!alone) return this.exchangeAdd(node, at);
    const old = this.copy({ kind: "word", at });
    const now = this.calculate(operator, old, this.source(node.value), node.where);
    this.put({ op: "store", at, from: now });
    return node.old ? old : now;
  }

  private updateLocal(node: Update, place: Temporary): Value {
    const changes = node.old || assignsLocal(node.value);
    const old = changes ? this.copy(place) : place;
    const now = this.calculate(node.operator, old, this.source(node.value), node.where);
    this.put({ op: "move", to: place, from: now });
    return node.old ? old : now;
  }

  private exchangeAdd(node: Update, at: number): Value {
    const by = this.value(node.value);
    const value = node.operator === "-" ? this.unary("neg", by) : this.copy(by);
    this.put({ op: "exchange-add", at, value });
    return node.old ? value : this.arithmetic(node.operator === "-" ? "sub" : "add", value, by);
  }

  private statistic(node: Extract<ir.Expression, { kind: "statistic" }>): Value {
    const { operand, field, where } = node;
    if (operand.kind !== "global") this.refuse("a statistic in an array", where);
    const global = this.global(operand.name);
    if (global.kind !== "statistic") throw new Error(`'${operand.name}' is taken for a statistic`);
    const word = (offset: number): Source => ({ kind: "word", at: global.at + offset });
    const mustHaveValues = (): void => {
      // Before there is one the least is above the greatest.
      const least = this.copy(word(STATISTIC.min));
      this.jumpIf("greater", least, word(STATISTIC.max), this.raised(MESSAGES.emptyAggregate, where));
    };
    switch (field) {
      case "sum":
        return this.copy(word(STATISTIC.sum));
      case "min":
      case "max":
        mustHaveValues();
        return this.copy(word(STATISTIC[field]));
      case "count":
      case "avg":
        if (global.buckets > 0) this.refuse(`@${field} of a statistic with a histogram`, where);
        if (field === "count") return this.copy(word(STATISTIC.count));
        mustHaveValues();
        return this.divided("/", this.copy(word(STATISTIC.sum)), this.copy(word(STATISTIC.count)));
      case "variance":
        return this.refuse("@variance", where);
    }
  }
}
