import type { Condition, General } from "../../arch/x86_64/assembler.js";

// The code of a handler before registers are given out: instructions of the processor on any number of
// temporaries. Offsets are those of words in the shared data.

/** A value of 64 bits that will be in a register, always the same one. */
export interface Temporary {
  readonly kind: "temporary";
  readonly number: number;
  /** The register that an instruction insists on. */
  readonly fixed: General | undefined;
}

export type Value =
  | Temporary
  /** Of 32 bits, sign-extended. */
  | { readonly kind: "constant"; readonly value: number }
  /** As the register is at the probed instruction; nobody gets it while it is named so. */
  | { readonly kind: "entry"; readonly register: General };

/** What can stand on the right: a word of the shared data, too. */
export type Source = Value | { readonly kind: "word"; readonly at: number };

export interface Mark {
  readonly number: number;
}

export type Instruction =
  | { readonly op: "mark"; readonly mark: Mark }
  | { readonly op: "jump"; readonly to: Mark }
  | {
      readonly op: "jump-if";
      readonly condition: Condition;
      readonly left: Temporary | Extract<Value, { kind: "entry" }>;
      readonly right: Source;
      readonly to: Mark;
    }
  | {
      readonly op: "set-if";
      readonly condition: Condition;
      readonly left: Temporary | Extract<Value, { kind: "entry" }>;
      readonly right: Source;
      readonly to: Temporary;
    }
  | { readonly op: "move"; readonly to: Temporary; readonly from: Source }
  /** A register's value as it was at the probed instruction, also where a temporary is in it now. */
  | { readonly op: "move-entry"; readonly to: Temporary; readonly register: General }
  | { readonly op: "move-wide"; readonly to: Temporary; readonly value: bigint }
  | {
      readonly op: "arithmetic";
      readonly name: "add" | "sub" | "and" | "or" | "xor" | "multiply";
      readonly to: Temporary;
      readonly left: Source;
      readonly right: Source;
    }
  | { readonly op: "unary"; readonly name: "neg" | "not"; readonly to: Temporary; readonly from: Source }
  | {
      readonly op: "shift";
      readonly name: "shl" | "shr" | "sar";
      readonly to: Temporary;
      readonly left: Source;
      /** A temporary in rcx, or a number. */
      readonly count: Temporary | number;
    }
  | {
      readonly op: "divide";
      readonly signed: boolean;
      /** In rax. */
      readonly dividend: Temporary;
      readonly by: Temporary;
      /** In rax. */
      readonly quotient: Temporary;
      /** In rdx. */
      readonly remainder: Temporary;
    }
  | {
      readonly op: "extend";
      readonly to: Temporary;
      readonly from: Value;
      readonly bytes: 1 | 2 | 4;
      readonly signed: boolean;
    }
  | { readonly op: "highest-bit"; readonly to: Temporary; readonly from: Temporary }
  /** Memory of the target: the one instruction that may fault. */
  | {
      readonly op: "load";
      readonly to: Temporary;
      readonly address: Temporary | Extract<Value, { kind: "entry" }>;
      readonly bytes: 1 | 2 | 4 | 8;
      readonly signed: boolean;
      readonly fault: Mark;
    }
  /** The target's own stack: the stack pointer at the probed instruction. */
  | { readonly op: "stack-pointer"; readonly to: Temporary }
  | { readonly op: "probed-address"; readonly to: Temporary }
  | { readonly op: "store"; readonly at: number; readonly from: Value }
  /** 4 bytes. */
  | { readonly op: "store-small"; readonly at: number; readonly value: number }
  /** Changes a word, as one access to all other threads where it is locked. */
  | {
      readonly op: "change";
      readonly name: "add" | "sub" | "and" | "or" | "xor";
      readonly at: number;
      readonly by: Value;
      readonly locked: boolean;
    }
  /** Locked. `value`: what to add, then what was there. */
  | { readonly op: "exchange-add"; readonly at: number; readonly value: Temporary }
  /** Locked. Goes to `failed` where the word was not `expected`, which is in rax and then what the word was. */
  | {
      readonly op: "compare-exchange";
      readonly at: number;
      readonly expected: Temporary;
      readonly desired: Temporary | Extract<Value, { kind: "entry" }>;
      readonly failed: Mark;
    }
  | { readonly op: "address"; readonly to: Temporary; readonly at: number }
  /** Adds 1 to the word `index` words behind `base`. */
  | {
      readonly op: "count-indexed";
      readonly base: Temporary;
      readonly index: Temporary;
      readonly locked: boolean;
    }
  /** Takes the lock, or goes to `failed` after it was waited for. `expected` is in rax; both are lost. */
  | {
      readonly op: "lock";
      readonly at: number;
      readonly expected: Temporary;
      readonly tries: Temporary;
      readonly failed: Mark;
    };

/** A handler's whole code. It begins with `hot` and ends by falling out of it. */
export interface Code {
  readonly hot: readonly Instruction[];
  /** What is seldom run; each part ends in a jump. */
  readonly cold: readonly Instruction[];
  readonly temporaries: readonly Temporary[];
  /** Where a fault that no fence expects goes on. */
  readonly cancel: Mark;
}

type Used = readonly (Source | number | undefined)[];

/** What an instruction reads; registers at the probed instruction are among it. */
export function usesOf(node: Instruction): Used {
  switch (node.op) {
    case "jump-if":
    case "set-if":
      return [node.left, node.right];
    case "move":
    case "unary":
    case "extend":
    case "highest-bit":
    case "store":
      return [node.from];
    case "arithmetic":
      return [node.left, node.right];
    case "shift":
      return [node.left, node.count];
    case "divide":
      return [node.dividend, node.by];
    case "load":
      return [node.address];
    case "change":
      return [node.by];
    case "exchange-add":
      return [node.value];
    case "compare-exchange":
      return [node.expected, node.desired];
    case "count-indexed":
      return [node.base, node.index];
    case "mark":
    case "jump":
    case "move-entry":
    case "move-wide":
    case "stack-pointer":
    case "probed-address":
    case "store-small":
    case "address":
    case "lock":
      return [];
  }
}

/** What an instruction writes. */
export function definitionsOf(node: Instruction): readonly Temporary[] {
  switch (node.op) {
    case "set-if":
    case "move":
    case "move-entry":
    case "move-wide":
    case "arithmetic":
    case "unary":
    case "shift":
    case "extend":
    case "highest-bit":
    case "load":
    case "stack-pointer":
    case "probed-address":
    case "address":
      return [node.to];
    case "divide":
      return [node.quotient, node.remainder];
    case "exchange-add":
      return [node.value];
    case "compare-exchange":
      return [node.expected];
    case "lock":
      return [node.expected, node.tries];
    case "mark":
    case "jump":
    case "jump-if":
    case "store":
    case "store-small":
    case "change":
    case "count-indexed":
      return [];
  }
}

/** Where an instruction can go on, beside the next one. */
export function wayOf(node: Instruction): Mark | undefined {
  switch (node.op) {
    case "jump":
    case "jump-if":
      return node.to;
    case "load":
      return node.fault;
    case "compare-exchange":
    case "lock":
      return node.failed;
    default:
      return undefined;
  }
}

/** Nothing is lost when nobody wants what it gives. */
export function isPure(node: Instruction): boolean {
  switch (node.op) {
    case "set-if":
    case "move":
    case "move-entry":
    case "move-wide":
    case "arithmetic":
    case "unary":
    case "shift":
    case "divide":
    case "extend":
    case "highest-bit":
    case "stack-pointer":
    case "probed-address":
    case "address":
      return true;
    default:
      return false;
  }
}

/** Leaves the flags as they are. */
export function keepsFlags(node: Instruction): boolean {
  switch (node.op) {
    case "mark":
    case "jump":
    case "move":
    case "move-entry":
    case "move-wide":
    case "extend":
    case "load":
    case "stack-pointer":
    case "probed-address":
    case "store":
    case "store-small":
    case "address":
      return true;
    default:
      return false;
  }
}
