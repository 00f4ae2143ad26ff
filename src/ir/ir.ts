import type { RegisterName } from "../arch/x86_64/registers.js";
import type { Shape } from "./shape.js";

/**
 * The one language that back ends see: typed, names resolved, no sugar. Positions are texts, for
 * messages only: `identifier 'x' at FILE:LINE:COLUMN`.
 */
export type ValueType = "long" | "string" | "statistic" | "void";

export interface Global {
  readonly name: string;
  readonly type: ValueType;
  /** Types of the keys; empty for a scalar. */
  readonly keys: readonly ValueType[];
  readonly size: number | undefined;
  readonly wraps: boolean;
  readonly initial: bigint | string | undefined;
  /** What a statistic must keep for the script. */
  readonly statistic: StatisticShape;
}

/** What a statistic keeps beside count, sum, least and most. */
export interface StatisticShape {
  readonly variance: boolean;
  readonly histogram: HistogramRequest | undefined;
}

export type HistogramRequest =
  | { readonly kind: "log" }
  | { readonly kind: "linear"; readonly low: number; readonly high: number; readonly width: number };

export interface Local {
  readonly name: string;
  readonly type: ValueType;
}

export interface Function {
  readonly name: string;
  readonly parameters: readonly Local[];
  readonly locals: readonly Local[];
  readonly returns: ValueType;
  readonly body: readonly Statement[];
}

/** A handler: the body of a probe. */
export interface Handler {
  readonly locals: readonly Local[];
  readonly body: readonly Statement[];
  /**
   * Evaluated when the function is entered whose return the handler is about; the body has them by
   * `entry-value`. A fault or an error of one is kept, and raised where the body asks for it.
   */
  readonly entry: readonly Expression[];
}

export interface Program {
  readonly globals: readonly Global[];
  readonly functions: readonly Function[];
  readonly handlers: readonly Handler[];
}

export type Comparison = "<" | "<=" | ">" | ">=" | "==" | "!=";
export type StatisticOperator = "count" | "sum" | "min" | "max" | "avg" | "variance";
export type Arithmetic = "+" | "-" | "*" | "/" | "%" | "&" | "|" | "^" | "<<" | ">>" | ">>>";

/** Keys, undefined where any will do. */
export type Slice = readonly (Expression | undefined)[];

/** Something that can be assigned to. */
export type Place =
  | { readonly kind: "local"; readonly name: string; readonly type: ValueType }
  | { readonly kind: "global"; readonly name: string; readonly type: ValueType }
  | {
      readonly kind: "element";
      readonly array: string;
      readonly keys: readonly Expression[];
      readonly type: ValueType;
      readonly where: string;
    };

/** Whose memory an address is in. */
export type MemoryKind = "kernel" | "user";

export type Expression =
  | Place
  /** All 64 bits of a register, as they are at the probed instruction. */
  | {
      readonly kind: "register";
      readonly type: "long";
      readonly register: RegisterName;
      readonly where: string;
    }
  /** An integer in the target's memory: a handler fault where it cannot be read. */
  | {
      readonly kind: "load";
      readonly type: "long";
      readonly address: Expression;
      readonly bytes: 1 | 2 | 4 | 8;
      readonly signed: boolean;
      readonly memory: MemoryKind;
      readonly where: string;
    }
  /** So many bits of a value from `offset` on, with zeros or the sign in front. */
  | {
      readonly kind: "bits";
      readonly type: "long";
      readonly operand: Expression;
      readonly offset: number;
      /** 1 … 64. */
      readonly width: number;
      readonly signed: boolean;
    }
  /** Where a variable with static storage is: only a running target tells. */
  | {
      readonly kind: "static-address";
      readonly type: "long";
      readonly image: string;
      readonly address: bigint;
      readonly perCpu: boolean;
      readonly where: string;
    }
  /** See {@link Handler.entry}. */
  | {
      readonly kind: "entry-value";
      readonly type: ValueType;
      readonly index: number;
      readonly where: string;
    }
  /** What is at an address, or in a value of 8 bytes, as a text; `ERROR` where it cannot be read. */
  | {
      readonly kind: "show";
      readonly type: "string";
      readonly operand: Expression;
      readonly from: "address" | "value";
      readonly shape: Shape;
      readonly where: string;
    }
  | { readonly kind: "long"; readonly type: "long"; readonly value: bigint }
  | { readonly kind: "string"; readonly type: "string"; readonly value: string }
  | {
      readonly kind: "arithmetic";
      readonly type: "long";
      readonly operator: Arithmetic;
      readonly left: Expression;
      readonly right: Expression;
      readonly where: string;
    }
  | {
      readonly kind: "compare";
      readonly type: "long";
      readonly operator: Comparison;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "logic";
      readonly type: "long";
      readonly operator: "&&" | "||";
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: "not"; readonly type: "long"; readonly operand: Expression }
  | { readonly kind: "negate" | "complement"; readonly type: "long"; readonly operand: Expression }
  | {
      readonly kind: "concatenate";
      readonly type: "string";
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "match";
      readonly type: "long";
      readonly operand: Expression;
      readonly pattern: string;
      readonly negated: boolean;
    }
  | {
      readonly kind: "choose";
      readonly type: ValueType;
      readonly condition: Expression;
      readonly then: Expression;
      readonly otherwise: Expression;
    }
  | { readonly kind: "assign"; readonly type: ValueType; readonly place: Place; readonly value: Expression }
  /** `place = place OPERATOR value`; the result is the new value, or the old one where `old` is set. */
  | {
      readonly kind: "update";
      readonly type: ValueType;
      readonly place: Place;
      readonly operator: Arithmetic | ".";
      readonly value: Expression;
      readonly old: boolean;
      readonly where: string;
    }
  | {
      readonly kind: "has";
      readonly type: "long";
      readonly array: string;
      readonly keys: readonly Expression[];
    }
  | { readonly kind: "has-slice"; readonly type: "long"; readonly array: string; readonly slice: Slice }
  | {
      readonly kind: "statistic";
      readonly type: "long";
      readonly field: StatisticOperator;
      readonly operand: Place;
      readonly where: string;
    }
  | {
      readonly kind: "call";
      readonly type: ValueType;
      readonly function: string;
      readonly arguments: readonly Expression[];
      readonly where: string;
    }
  | {
      readonly kind: "intrinsic";
      readonly type: ValueType;
      readonly name: string;
      readonly arguments: readonly Expression[];
      readonly where: string;
    }
  /** printf and its like; `format` is checked against the arguments. */
  | {
      readonly kind: "format";
      readonly where: string;
      readonly type: "string";
      readonly format: string;
      readonly arguments: readonly Expression[];
    };

/** What a handler does; `where` is for messages about the statement as a whole. */
export type Statement = Action & { readonly where: string };

export type Action =
  | { readonly kind: "evaluate"; readonly expression: Expression }
  | { readonly kind: "print"; readonly text: Expression }
  | { readonly kind: "print-histogram"; readonly operand: Place }
  | { readonly kind: "aggregate"; readonly place: Place; readonly value: Expression }
  | {
      readonly kind: "if";
      readonly condition: Expression;
      readonly then: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | {
      readonly kind: "loop";
      readonly initial: readonly Statement[];
      readonly condition: Expression | undefined;
      readonly step: readonly Statement[];
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: "foreach";
      readonly array: string;
      /** Variables that take the keys; globals as well as locals. */
      readonly keys: readonly Place[];
      readonly value: Place | undefined;
      readonly by: number | undefined;
      readonly descending: boolean;
      readonly field: StatisticOperator | undefined;
      /** Empty where all elements are meant. */
      readonly slice: Slice;
      readonly limit: Expression | undefined;
      readonly body: readonly Statement[];
    }
  | { readonly kind: "break" | "continue" | "next" }
  | { readonly kind: "return"; readonly value: Expression | undefined }
  | { readonly kind: "delete-element"; readonly array: string; readonly keys: readonly Expression[] }
  | { readonly kind: "delete-slice"; readonly array: string; readonly slice: Slice }
  | { readonly kind: "clear"; readonly global: string }
  | { readonly kind: "reset-local"; readonly name: string; readonly type: ValueType }
  /** A fence: faults and script errors of the body end it, and the handler runs. Entering costs nothing. */
  | {
      readonly kind: "fence";
      readonly body: readonly Statement[];
      /** Takes the message. */
      readonly message: Place | undefined;
      readonly handler: readonly Statement[];
    };
