import type * as ir from "../../../src/ir/ir.js";
import { GENERAL_REGISTERS } from "../../../src/arch/x86_64/assembler.js";
import type { Random } from "../../fuzz/random.js";
import { MEMORY, type Registers, registers, STACK } from "./pieces.js";

const EDGES = [
  0n,
  1n,
  -1n,
  2n,
  3n,
  7n,
  8n,
  63n,
  64n,
  127n,
  128n,
  255n,
  -128n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n,
];
const NUMBERS = [...EDGES, -(2n ** 31n), 2n ** 63n - 1n, -(2n ** 63n), 0x1234_5678_9abc_def0n];
const ARITHMETIC: readonly ir.Arithmetic[] = ["+", "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", ">>>"];
const COMPARISONS: readonly ir.Comparison[] = ["<", "<=", ">", ">=", "==", "!="];
const LOCALS = ["a", "b", "c"];
const LONGS = ["g", "h"];
const STATISTICS = ["s", "log", "lin"];
const WHERE = "somewhere";

/** A random program of what can be machine code, whose first handler is the one in question. */
export function randomProgram(random: Random): ir.Program {
  return new Maker(random).program();
}

export function randomHits(random: Random): Registers[] {
  return Array.from({ length: 1 + random.below(4) }, () => {
    const all = GENERAL_REGISTERS.map((name) => [name, randomNumber(random)] as const);
    // With what may be set in a program: DF, AC, OF and the others.
    const flags = 0x202n | BigInt(random.below(0x1000) & 0xcd5) | (random.once(4) ? 0x4_0000n : 0n);
    return registers({
      ...Object.fromEntries(all),
      rdi: BigInt(MEMORY + random.below(0x1010)),
      rsp: BigInt(STACK + 0x8000 + 8 * random.below(4)),
      flags,
    });
  });
}

function randomNumber(random: Random): bigint {
  if (random.once(2)) return random.pick(NUMBERS);
  const wide = (BigInt(random.below(2 ** 32)) << 32n) | BigInt(random.below(2 ** 32));
  return BigInt.asIntN(64, random.once(2) ? wide : wide >> BigInt(random.below(64)));
}

class Maker {
  private functions: readonly string[] = [];
  private inFunction = false;
  private loops = 0;

  constructor(private readonly random: Random) {}

  program(): ir.Program {
    const { random } = this;
    const global = (name: string, type: ir.ValueType, histogram?: ir.HistogramRequest): ir.Global => ({
      name,
      type,
      keys: [],
      size: undefined,
      wraps: false,
      initial: type === "long" && random.once(2) ? randomNumber(random) : undefined,
      statistic: { variance: false, histogram },
    });
    const low = random.below(20) - 10;
    const width = 1 + random.below(9);
    const linear = { kind: "linear", low, high: low + width * (1 + random.below(20)), width } as const;
    const globals = [
      ...LONGS.map((name) => global(name, "long")),
      global("s", "statistic"),
      global("log", "statistic", { kind: "log" }),
      global("lin", "statistic", linear),
    ];
    const functions: ir.Function[] = [];
    this.inFunction = true;
    for (let count = random.below(3); count > 0; count--) {
      const name = `f${String(functions.length)}`;
      functions.push({
        name,
        parameters: [{ name: "a", type: "long" }],
        locals: [
          { name: "b", type: "long" },
          { name: "c", type: "long" },
        ],
        returns: "long",
        body: this.statements(2, 3),
      });
      // Each calls those before it.
      this.functions = [...this.functions, name];
    }
    this.inFunction = false;
    const locals = LOCALS.map((name): ir.Local => ({ name, type: "long" }));
    const handler = { locals, body: this.statements(3, 4), entry: [] };
    return { globals, functions, handlers: [handler] };
  }

  private statements(depth: number, most: number): ir.Statement[] {
    return Array.from({ length: 1 + this.random.below(most) }, () => ({
      ...this.statement(depth),
      where: WHERE,
    }));
  }

  private statement(depth: number): ir.Action {
    const { random } = this;
    const choice = random.below(depth > 0 ? 15 : 8);
    switch (choice) {
      case 0:
      case 1:
      case 2:
      case 3:
        return { kind: "evaluate", expression: this.change(2) };
      case 4:
        return this.aggregate();
      case 5:
        return { kind: "evaluate", expression: this.update(this.globalPlace(), 1) };
      case 6:
        if (random.once(8)) return { kind: "clear", global: random.pick([...LONGS, ...STATISTICS]) };
        return { kind: "reset-local", name: random.pick(LOCALS), type: "long" };
      case 7:
        if (random.once(3) && this.loops > 0) return { kind: random.once(2) ? "break" : "continue" };
        if (random.once(6)) return { kind: "next" };
        if (this.inFunction)
          return { kind: "return", value: random.once(5) ? undefined : this.expression(2) };
        return this.aggregate();
      case 8:
      case 9:
      case 10:
        return {
          kind: "if",
          condition: this.expression(2),
          then: this.statements(depth - 1, 2),
          otherwise: random.once(2) ? this.statements(depth - 1, 2) : [],
        };
      case 11:
      case 12:
        return this.loop(depth);
      default:
        return {
          kind: "fence",
          body: this.statements(depth - 1, 3),
          message: undefined,
          handler: this.statements(depth - 1, 2),
        };
    }
  }

  private loop(depth: number): ir.Action {
    const { random } = this;
    const counter: ir.Place = { kind: "local", name: random.pick(LOCALS), type: "long" };
    const step: ir.Expression = {
      ...{ kind: "update", type: "long", place: counter, operator: "+", old: true, where: WHERE },
      value: this.constant(1n),
    };
    this.loops++;
    const body = this.statements(depth - 1, 2);
    this.loops--;
    const bounded: ir.Expression = {
      ...{ kind: "compare", type: "long", operator: "<", left: counter },
      right: this.constant(BigInt(random.below(6))),
    };
    return {
      kind: "loop",
      initial: random.once(2) ? [{ kind: "evaluate", expression: this.change(1), where: WHERE }] : [],
      condition: random.once(8) ? this.expression(1) : bounded,
      step: [{ kind: "evaluate", expression: random.once(8) ? this.change(1) : step, where: WHERE }],
      body,
    };
  }

  private aggregate(): ir.Action {
    const place: ir.Place = { kind: "global", name: this.random.pick(STATISTICS), type: "statistic" };
    return { kind: "aggregate", place, value: this.expression(2) };
  }

  private globalPlace(): ir.Place {
    return { kind: "global", name: this.random.pick(LONGS), type: "long" };
  }

  private localPlace(): ir.Place {
    return { kind: "local", name: this.random.pick(LOCALS), type: "long" };
  }

  private constant(value: bigint): ir.Expression {
    return { kind: "long", type: "long", value };
  }

  private change(depth: number): ir.Expression {
    const place = this.random.once(2) ? this.localPlace() : this.globalPlace();
    if (this.random.once(2)) return this.update(place, depth);
    return { kind: "assign", type: "long", place, value: this.expression(depth) };
  }

  private update(place: ir.Place, depth: number): ir.Expression {
    const value = this.expression(depth);
    const operator = this.random.once(2) ? "+" : this.random.pick(ARITHMETIC);
    return { kind: "update", type: "long", place, operator, value, old: this.random.once(2), where: WHERE };
  }

  private expression(depth: number): ir.Expression {
    const { random } = this;
    if (depth <= 0 || random.once(5)) return this.leaf();
    const part = (): ir.Expression => this.expression(depth - 1);
    switch (random.below(15)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return {
          ...{ kind: "arithmetic", type: "long", operator: random.pick(ARITHMETIC), where: WHERE },
          ...{ left: part(), right: part() },
        };
      case 4:
      case 5:
        return {
          kind: "compare",
          type: "long",
          operator: random.pick(COMPARISONS),
          left: part(),
          right: part(),
        };
      case 6:
        return {
          kind: "logic",
          type: "long",
          operator: random.once(2) ? "&&" : "||",
          left: part(),
          right: part(),
        };
      case 7:
        return { kind: random.pick(["not", "negate", "complement"] as const), type: "long", operand: part() };
      case 8:
        return { kind: "choose", type: "long", condition: part(), then: part(), otherwise: part() };
      case 9:
        return this.change(depth - 1);
      case 10: {
        const offset = random.below(64);
        const width = 1 + random.below(64);
        return { kind: "bits", type: "long", operand: part(), offset, width, signed: random.once(2) };
      }
      case 11:
      case 12:
        return this.load(part());
      case 13: {
        if (this.functions.length === 0) return this.leaf();
        const name = random.pick(this.functions);
        return { kind: "call", type: "long", function: name, arguments: [part()], where: WHERE };
      }
      default: {
        const field = random.pick(["count", "sum", "min", "max", "avg"] as const);
        const operand: ir.Place = { kind: "global", name: "s", type: "statistic" };
        return { kind: "statistic", type: "long", field, operand, where: WHERE };
      }
    }
  }

  private load(part: ir.Expression): ir.Expression {
    const { random } = this;
    const rdi: ir.Expression = { kind: "register", type: "long", register: "rdi", where: WHERE };
    const low: ir.Expression = {
      ...{ kind: "arithmetic", type: "long", operator: "&", left: part, where: WHERE },
      right: this.constant(0x1fffn),
    };
    const near: ir.Expression = {
      ...{ kind: "arithmetic", type: "long", operator: "+", left: low, where: WHERE },
      right: this.constant(BigInt(MEMORY)),
    };
    const address = random.pick([rdi, near, near, this.constant(random.pick(NUMBERS))]);
    const bytes = random.pick([1, 2, 4, 8] as const);
    return {
      kind: "load",
      type: "long",
      address,
      bytes,
      signed: random.once(2),
      memory: "user",
      where: WHERE,
    };
  }

  private leaf(): ir.Expression {
    const { random } = this;
    switch (random.below(5)) {
      case 0:
        return this.constant(randomNumber(random));
      case 1:
        return this.globalPlace();
      case 2: {
        const register = random.pick(GENERAL_REGISTERS);
        return { kind: "register", type: "long", register, where: WHERE };
      }
      default:
        return this.localPlace();
    }
  }
}
