import type * as ir from "../../ir/ir.js";
import { assertNever } from "../../base/assert-never.js";

/**
 * How a handler touches a global.
 *
 * `add`: adds to it, and looks at nothing: any order of any number of them comes to the same.
 * `single`: one instruction of the processor does all of it.
 * `compound`: several do, and nobody may come between.
 */
interface Access {
  readonly global: string;
  readonly kind: "add" | "single" | "compound";
}

/**
 * Which handlers of a program must hold the lock while they run, so that each is atomic to the others.
 *
 * A handler does without it when all it does to globals is to add to some that nobody does anything else
 * with, or is one access in all, in one instruction; and when it shares no global with a handler that
 * holds the lock: that one relies on being alone.
 *
 * @param alone handlers that run while no other does
 */
export function handlersThatLock(program: ir.Program, alone: ReadonlySet<number>): Set<number> {
  const functions = new Map(program.functions.map((each) => [each.name, each]));
  const accesses = program.handlers.map((handler, number) =>
    alone.has(number) ? [] : new AccessFinder(functions).ofHandler(handler),
  );
  const looked = new Set(accesses.flat().flatMap(({ global, kind }) => (kind === "add" ? [] : [global])));
  const locking = new Set<number>();
  const held = new Set<string>();
  const lock = (number: number): void => {
    locking.add(number);
    for (const { global } of accesses[number] ?? []) held.add(global);
  };
  accesses.forEach((list, number) => {
    const [only] = list;
    if (only === undefined) return;
    if (list.length === 1 && only.kind !== "compound") return;
    if (list.every(({ global, kind }) => kind === "add" && !looked.has(global))) return;
    lock(number);
  });
  // Each that joins brings its own globals.
  for (let before = -1; before !== locking.size;) {
    before = locking.size;
    accesses.forEach((list, number) => {
      if (!locking.has(number) && list.some(({ global }) => held.has(global))) lock(number);
    });
  }
  return locking;
}

/** Operators that one locked instruction does to memory; `+` and `-` give the old value, too. */
function isSingle(operator: ir.Arithmetic | ".", discarded: boolean): boolean {
  if (operator === "+" || operator === "-") return true;
  return discarded && (operator === "&" || operator === "|" || operator === "^");
}

/** Finds what a handler does to globals, in its functions too. */
class AccessFinder {
  private readonly found: Access[] = [];
  private readonly inside = new Set<string>();

  constructor(private readonly functions: ReadonlyMap<string, ir.Function>) {}

  ofHandler(handler: ir.Handler): readonly Access[] {
    handler.entry.forEach((each) => {
      this.expression(each);
    });
    this.statements(handler.body);
    return this.found;
  }

  private add(global: string, kind: Access["kind"]): void {
    this.found.push({ global, kind });
  }

  private statements(list: readonly ir.Statement[]): void {
    for (const each of list) this.statement(each);
  }

  private statement(node: ir.Statement): void {
    switch (node.kind) {
      case "evaluate":
        return this.expression(node.expression, true);
      case "print":
        return this.expression(node.text);
      case "print-histogram":
        return this.place(node.operand, "compound");
      case "aggregate":
        this.expression(node.value);
        return this.place(node.place, "add");
      case "if":
        this.expression(node.condition);
        this.statements(node.then);
        return this.statements(node.otherwise);
      case "loop":
        this.statements(node.initial);
        // Once and again: what is one access in one round is several in all.
        for (let round = 0; round < 2; round++) {
          if (node.condition !== undefined) this.expression(node.condition);
          this.statements(node.body);
          this.statements(node.step);
        }
        return;
      case "foreach":
        this.add(node.array, "compound");
        if (node.limit !== undefined) this.expression(node.limit);
        this.slice(node.slice);
        for (const key of node.keys) this.place(key, "compound");
        if (node.value !== undefined) this.place(node.value, "compound");
        return this.statements(node.body);
      case "return":
        if (node.value !== undefined) this.expression(node.value);
        return;
      case "delete-element":
        this.add(node.array, "compound");
        return this.slice(node.keys);
      case "delete-slice":
        this.add(node.array, "compound");
        return this.slice(node.slice);
      case "clear":
        return this.add(node.global, "compound");
      case "fence":
        this.statements(node.body);
        if (node.message !== undefined) this.place(node.message, "compound");
        return this.statements(node.handler);
      case "break":
      case "continue":
      case "next":
      case "reset-local":
        return;
      default:
        return assertNever(node);
    }
  }

  private slice(slice: ir.Slice): void {
    for (const key of slice) if (key !== undefined) this.expression(key);
  }

  private place(place: ir.Place, kind: Access["kind"]): void {
    if (place.kind === "global") return this.add(place.name, kind);
    if (place.kind !== "element") return;
    this.slice(place.keys);
    this.add(place.array, "compound");
  }

  private expression(node: ir.Expression, discarded = false): void {
    switch (node.kind) {
      case "long":
      case "string":
      case "register":
      case "static-address":
      case "entry-value":
        return;
      case "local":
      case "element":
      case "global":
        return this.place(node, "single");
      case "load":
        return this.expression(node.address);
      case "bits":
      case "show":
      case "not":
      case "negate":
      case "complement":
      case "match":
        return this.expression(node.operand);
      case "arithmetic":
      case "compare":
      case "logic":
      case "concatenate":
        this.expression(node.left);
        return this.expression(node.right);
      case "choose":
        this.expression(node.condition);
        this.expression(node.then);
        return this.expression(node.otherwise);
      case "assign":
        this.expression(node.value);
        return this.place(node.place, "single");
      case "update": {
        this.expression(node.value);
        const { operator } = node;
        const adds = discarded && (operator === "+" || operator === "-");
        return this.place(node.place, adds ? "add" : isSingle(operator, discarded) ? "single" : "compound");
      }
      case "has":
        this.add(node.array, "compound");
        return this.slice(node.keys);
      case "has-slice":
        this.add(node.array, "compound");
        return this.slice(node.slice);
      case "statistic":
        return this.place(node.operand, "compound");
      case "intrinsic":
      case "format":
        return this.slice(node.arguments);
      case "call":
        this.slice(node.arguments);
        return this.call(node.function);
      default:
        return assertNever(node);
    }
  }

  private call(name: string): void {
    const callee = this.functions.get(name);
    if (callee === undefined || this.inside.has(name)) return;
    this.inside.add(name);
    this.statements(callee.body);
    this.inside.delete(name);
  }
}
