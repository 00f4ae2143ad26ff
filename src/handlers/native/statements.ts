import type * as ir from "../../ir/ir.js";
import { MESSAGES } from "../../runtime/errors.js";
import { LONG_MAX, LONG_MIN } from "../../runtime/integers.js";
import { AggregateBuilder } from "./aggregates.js";
import type { Code, Mark, Temporary, Value } from "./code.js";
import type { BuildOptions } from "./expressions.js";
import { type GlobalLayout, PROBE, STATISTIC } from "./global-layout.js";
import { intrinsicValue } from "./intrinsics.js";

/** A script error that a handler can end by. */
export interface HandlerError {
  readonly message: string;
  readonly where: string;
}

export interface Built {
  readonly code: Code;
  readonly errors: readonly HandlerError[];
  /** Statements that a hit executes at most; undefined where there are loops. */
  readonly most: number | undefined;
}

/** A function whose body is put where it is called. */
interface Inlined {
  readonly name: string;
  readonly result: Temporary | undefined;
  readonly end: Mark;
}

interface Loop {
  readonly step: Mark;
  readonly end: Mark;
}

/** What is cleared in a statistic, with what is there before the first value. */
const EMPTY: ReadonlyMap<number, bigint> = new Map([
  [STATISTIC.sum, 0n],
  [STATISTIC.min, LONG_MAX],
  [STATISTIC.max, LONG_MIN],
  [STATISTIC.count, 0n],
]);

const ONE = { kind: "constant", value: 1 } as const;

/** Makes code of a handler. @throws Refusal for what this back end does not know */
export class HandlerBuilder extends AggregateBuilder {
  private readonly functions: ReadonlyMap<string, ir.Function>;
  private readonly errors: HandlerError[] = [];
  private readonly errorMarks = new Map<string, Mark>();
  private readonly exit = this.mark();
  private readonly cancel = this.mark();
  private readonly counter: Temporary | undefined;
  private readonly block: number;
  private spent: number | undefined = 0;
  private inlined: readonly Inlined[] = [];
  private loop: Loop | undefined;
  /** Catch parts that are open, innermost last. */
  private fences: readonly Mark[] = [];

  constructor(
    private readonly program: ir.Program,
    private readonly number: number,
    layout: GlobalLayout,
    options: BuildOptions,
  ) {
    super(layout, options);
    this.functions = new Map(program.functions.map((each) => [each.name, each]));
    this.counter = options.counting ? this.temporary() : undefined;
    this.block = layout.probes[number] ?? 0;
  }

  build(): Built {
    const handler = this.program.handlers[this.number];
    if (handler === undefined) throw new Error(`the program has no handler ${String(this.number)}`);
    const { alone } = this.options;
    const skipped = this.mark();
    this.count(PROBE.hits);
    if (alone) this.takeLock(skipped);
    if (this.counter !== undefined)
      this.put({ op: "move", to: this.counter, from: this.constant(BigInt(this.layout.limits.MAXACTION)) });
    this.locals = this.begin(handler.locals);
    this.statements(handler.body);
    this.seldom(() => {
      this.here(this.cancel);
      this.count(PROBE.cancelled);
      this.jump(this.exit);
    });
    this.here(this.exit);
    if (alone) this.put({ op: "store", at: this.layout.lock, from: { kind: "constant", value: 0 } });
    this.here(skipped);
    return { code: this.written(this.cancel), errors: this.errors, most: this.spent };
  }

  /** Adds one to a word of the probe's block; in any case locked: other places of the probe count there, too. */
  private count(word: number): void {
    this.put({ op: "change", name: "add", at: this.block + word, by: ONE, locked: true });
  }

  private takeLock(skipped: Mark): void {
    const failed = this.mark();
    const [expected, tries] = [this.temporary("rax"), this.temporary()];
    this.put({ op: "lock", at: this.layout.lock, expected, tries, failed });
    this.seldom(() => {
      this.here(failed);
      this.count(PROBE.skipped);
      this.jump(skipped);
    });
  }

  private begin(locals: readonly ir.Local[]): ReadonlyMap<string, Temporary> {
    const declared = this.declare(locals);
    for (const to of declared.values()) this.put({ op: "move", to, from: { kind: "constant", value: 0 } });
    return declared;
  }

  protected override faulted(): Mark {
    return this.fences.at(-1) ?? this.cancel;
  }

  protected override raised(message: string, where: string): Mark {
    return this.fences.at(-1) ?? this.failed(message, where);
  }

  /** Past all fences. */
  private failed(message: string, where: string): Mark {
    const key = `${message} ${where}`;
    const known = this.errorMarks.get(key);
    if (known !== undefined) return known;
    const mark = this.mark();
    this.errorMarks.set(key, mark);
    const number = this.errors.push({ message, where });
    this.seldom(() => {
      const later = this.mark();
      this.here(mark);
      this.count(PROBE.errors);
      const first = { kind: "word", at: this.block + PROBE.firstError } as const;
      // Where two threads are the first, either is.
      this.jumpIf("not-equal", first, { kind: "constant", value: 0 }, later);
      this.put({ op: "store-small", at: first.at, value: number });
      this.here(later);
      this.jump(this.exit);
    });
    return mark;
  }

  // Statements.

  /** As the JavaScript back end counts them: by the run of statements. */
  private statements(list: readonly ir.Statement[], more = 0): void {
    const [first] = list;
    const count = list.length + more;
    if (count > 0) this.spend(count, first?.where ?? this.at);
    for (const each of list) this.statement(each);
  }

  private spend(count: number, where: string): void {
    if (this.spent !== undefined) this.spent += count;
    const { counter } = this;
    if (counter === undefined) return;
    const right = { kind: "constant", value: count } as const;
    this.put({ op: "arithmetic", name: "sub", to: counter, left: counter, right });
    this.jumpIf("less", counter, { kind: "constant", value: 0 }, this.failed(MESSAGES.actionLimit, where));
  }

  private statement(node: ir.Statement): void {
    this.at = node.where;
    switch (node.kind) {
      case "evaluate":
        return this.discard(node.expression);
      case "aggregate": {
        if (node.place.kind !== "global") return this.refuse("a statistic in an array");
        const global = this.global(node.place.name);
        if (global.kind !== "statistic") throw new Error(`'${node.place.name}' is taken for a statistic`);
        return this.aggregate(global, this.value(node.value));
      }
      case "if":
        return this.if(node);
      case "loop":
        return this.repeat(node);
      case "break":
      case "continue":
        if (this.loop === undefined) throw new Error(`'${node.kind}' outside of a loop`);
        return this.jump(node.kind === "break" ? this.loop.end : this.loop.step);
      case "next":
        return this.jump(this.exit);
      case "return":
        return this.return(node);
      case "clear":
        return this.clear(node.global);
      case "reset-local":
        return this.put({
          op: "move",
          to: this.local(node.name, node.type),
          from: { kind: "constant", value: 0 },
        });
      case "fence":
        return this.fence(node);
      case "print":
      case "print-histogram":
        return this.refuse("output");
      case "foreach":
      case "delete-element":
      case "delete-slice":
        return this.refuse(`the array '${node.array}'`);
    }
  }

  private if(node: Extract<ir.Statement, { kind: "if" }>): void {
    const [then, otherwise, end] = [this.mark(), this.mark(), this.mark()];
    this.branch(node.condition, then, otherwise, "yes");
    this.here(then);
    this.statements(node.then);
    if (node.otherwise.length > 0) this.jump(end);
    this.here(otherwise);
    this.statements(node.otherwise);
    this.here(end);
  }

  private repeat(node: Extract<ir.Statement, { kind: "loop" }>): void {
    this.statements(node.initial);
    this.spent = undefined;
    const outer = this.loop;
    const loop: Loop = { step: this.mark(), end: this.mark() };
    const [again, body] = [this.mark(), this.mark()];
    this.here(again);
    if (node.condition !== undefined) this.branch(node.condition, body, loop.end, "yes");
    this.here(body);
    this.loop = loop;
    // One more: for the round itself.
    this.at = node.where;
    this.statements(node.body, 1);
    this.loop = outer;
    this.here(loop.step);
    // Not counted, as there.
    for (const each of node.step) this.statement(each);
    this.jump(again);
    this.here(loop.end);
  }

  private return(node: Extract<ir.Statement, { kind: "return" }>): void {
    const inlined = this.inlined.at(-1);
    if (inlined === undefined) throw new Error("'return' outside of a function");
    const { result, end } = inlined;
    const value: Value = node.value === undefined ? { kind: "constant", value: 0 } : this.value(node.value);
    if (result !== undefined) this.put({ op: "move", to: result, from: value });
    this.jump(end);
  }

  private clear(name: string): void {
    const global = this.global(name);
    if (global.kind === "long")
      return this.put({ op: "store", at: global.at, from: { kind: "constant", value: 0 } });
    if (global.kind === "statistic") return this.clearStatistic(global, EMPTY);
  }

  /** The message has no place: who reads it is refused, since it is a string. */
  private fence(node: Extract<ir.Statement, { kind: "fence" }>): void {
    if (node.message !== undefined && node.message.kind !== "local")
      this.refuse("a message of 'catch' in a global variable");
    const [caught, end] = [this.mark(), this.mark()];
    const outer = this.fences;
    this.fences = [...outer, caught];
    this.statements(node.body);
    this.fences = outer;
    this.seldom(() => {
      this.here(caught);
      this.statements(node.handler);
      this.jump(end);
    });
    this.here(end);
  }

  // Functions.

  protected override call(node: Extract<ir.Expression, { kind: "call" }>): Value {
    const callee = this.functions.get(node.function);
    if (callee === undefined) throw new Error(`the IR calls a function that is not there: ${node.function}`);
    const { name } = callee;
    if (this.inlined.some((each) => each.name === name))
      this.refuse(`the recursion of '${name}'`, node.where);
    if (this.inlined.length >= this.layout.limits.MAXNESTING)
      this.refuse(`the call of '${name}' beyond MAXNESTING`, node.where);
    const returnsText = callee.returns !== "long" && callee.returns !== "void";
    if (returnsText || callee.parameters.some(({ type }) => type !== "long"))
      this.refuse(`the function '${name}' on strings`, node.where);
    const parameters = this.declare(callee.parameters);
    callee.parameters.forEach(({ name: parameter }, index) => {
      const [to, from] = [parameters.get(parameter), node.arguments[index]];
      if (to === undefined || from === undefined) throw new Error(`'${name}' lacks an argument`);
      this.put({ op: "move", to, from: this.value(from) });
    });
    return this.inline(callee, parameters);
  }

  private inline(callee: ir.Function, parameters: ReadonlyMap<string, Temporary>): Value {
    const outer = { at: this.at, locals: this.locals, loop: this.loop, inlined: this.inlined };
    const result = callee.returns === "void" ? undefined : this.temporary();
    const end = this.mark();
    this.locals = new Map([...this.begin(callee.locals), ...parameters]);
    this.loop = undefined;
    this.inlined = [...outer.inlined, { name: callee.name, result, end }];
    this.statements(callee.body);
    if (result !== undefined) this.put({ op: "move", to: result, from: { kind: "constant", value: 0 } });
    this.here(end);
    ({ at: this.at, locals: this.locals, loop: this.loop, inlined: this.inlined } = outer);
    return result ?? { kind: "constant", value: 0 };
  }

  protected override intrinsic(node: Extract<ir.Expression, { kind: "intrinsic" }>): Value {
    const value = intrinsicValue(node, {
      register: (name) => this.register(name, node.where),
      probedAddress: () => this.probedAddress(),
      bits: (of, offset, width, signed) => this.bits(of, offset, width, signed),
      load: (address, bytes, signed) => this.load(address, bytes, signed),
      plus: (left, right) => this.arithmetic("add", left, { kind: "constant", value: right }),
      value: (of) => this.value(of),
      raise: (message) => {
        this.jump(this.raised(message, node.where));
        return { kind: "constant", value: 0 };
      },
    });
    return value ?? this.refuse(`the function '${node.name}'`, node.where);
  }
}
