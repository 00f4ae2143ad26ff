import { GENERAL_REGISTERS, type General } from "../../arch/x86_64/assembler.js";
import { type Code, definitionsOf, type Instruction, type Temporary, usesOf } from "./code.js";
import { isTemporary, liveness } from "./tidy.js";

/** Registers of temporaries, by their numbers. */
export type Allocation = ReadonlyMap<number, General>;

/**
 * The order in which registers are given out. rax is last: it holds the flags of the target, so that
 * they need no place in memory as long as nobody else wants it.
 */
const ORDER: readonly General[] = [
  ...(["rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"] as const),
  ...(["rbx", "rbp", "r12", "r13", "r14", "r15", "rax"] as const),
];

/** Registers that the code reads as they are at the probed instruction. */
export function entriesOf(code: Code): Set<General> {
  const found = new Set<General>();
  for (const each of [...code.hot, ...code.cold])
    for (const value of usesOf(each))
      if (typeof value === "object" && value.kind === "entry") found.add(value.register);
  return found;
}

/** Registers that instructions insist on. */
export function fixedOf(code: Code): Set<General> {
  const found = new Set<General>();
  for (const each of [...code.hot, ...code.cold])
    for (const value of [...usesOf(each), ...definitionsOf(each)])
      if (isTemporary(value) && value.fixed !== undefined) found.add(value.fixed);
  return found;
}

/**
 * Gives each temporary a register for all of its life, and two that are needed at a time two of them.
 *
 * @param most how many registers there may be in all
 * @returns undefined where these do not do
 */
export function allocate(code: Code, most: number): Allocation | undefined {
  const { instructions, behind } = liveness(code);
  const graph = new Conflicts(code.temporaries.length);
  instructions.forEach((each, index) => {
    addConflicts(graph, each, behind[index] as bigint);
  });
  const forbidden = entriesOf(code);
  const used = fixedOf(code);
  const given = new Map<number, General>();
  const present = order(instructions);
  for (const { number, fixed } of present) if (fixed !== undefined) given.set(number, fixed);
  for (const { number, fixed } of present) {
    if (fixed !== undefined) {
      if (graph.of(number).some((other) => given.get(other) === fixed)) return undefined;
      continue;
    }
    const taken = new Set(graph.of(number).map((other) => given.get(other)));
    const free = (register: General | undefined): boolean =>
      register !== undefined && !taken.has(register) && !forbidden.has(register);
    const register =
      graph
        .friends(number)
        .map((friend) => given.get(friend))
        .find((each) => free(each) && used.has(each as General)) ??
      ORDER.find((each) => used.has(each) && free(each)) ??
      ORDER.find(free);
    if (register === undefined) return undefined;
    used.add(register);
    given.set(number, register);
  }
  return used.size > most ? undefined : given;
}

/** Temporaries as they come in the code. */
function order(instructions: readonly Instruction[]): Temporary[] {
  const found = new Map<number, Temporary>();
  for (const each of instructions)
    for (const value of [...definitionsOf(each), ...usesOf(each)])
      if (isTemporary(value)) found.set(value.number, value);
  return [...found.values()];
}

class Conflicts {
  private readonly conflicts: Set<number>[];
  private readonly moves: Set<number>[];

  constructor(count: number) {
    this.conflicts = Array.from({ length: count }, () => new Set<number>());
    this.moves = Array.from({ length: count }, () => new Set<number>());
  }

  add(one: number, other: number): void {
    if (one === other) return;
    this.conflicts[one]?.add(other);
    this.conflicts[other]?.add(one);
  }

  /** They would rather be in one register. */
  befriend(one: Temporary, other: unknown): void {
    if (!isTemporary(other)) return;
    this.moves[one.number]?.add(other.number);
    this.moves[other.number]?.add(one.number);
  }

  of(number: number): number[] {
    return [...(this.conflicts[number] ?? [])];
  }

  friends(number: number): number[] {
    return [...(this.moves[number] ?? [])];
  }
}

function addConflicts(graph: Conflicts, node: Instruction, behind: bigint): void {
  const definitions = definitionsOf(node);
  for (const definition of definitions) {
    for (let rest = behind, number = 0; rest !== 0n; rest >>= 1n, number++)
      if (
        (rest & 1n) !== 0n &&
        !(node.op === "move" && isTemporary(node.from) && node.from.number === number)
      )
        graph.add(definition.number, number);
    for (const other of definitions) graph.add(definition.number, other.number);
  }
  switch (node.op) {
    case "move":
      graph.befriend(node.to, node.from);
      break;
    case "arithmetic":
      graph.befriend(node.to, node.left);
      // The left one is moved first, and the right one still wanted then.
      if (node.name === "sub" && isTemporary(node.right)) graph.add(node.to.number, node.right.number);
      break;
    case "unary":
      graph.befriend(node.to, node.from);
      break;
    case "shift":
      graph.befriend(node.to, node.left);
      if (isTemporary(node.count)) graph.add(node.to.number, node.count.number);
      break;
    case "divide":
      graph.befriend(node.quotient, node.dividend);
      graph.add(node.by.number, node.quotient.number);
      graph.add(node.by.number, node.remainder.number);
      graph.add(node.dividend.number, node.remainder.number);
      break;
    case "compare-exchange":
      if (isTemporary(node.desired)) graph.add(node.expected.number, node.desired.number);
      break;
    default:
  }
}

/** For those who save them. */
export function savedOf(allocation: Allocation): General[] {
  const used = new Set(allocation.values());
  return GENERAL_REGISTERS.filter((each) => used.has(each));
}
