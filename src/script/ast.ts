import type { RegisterName } from "../arch/x86_64/registers.js";
import type { MemoryKind } from "../ir/ir.js";
import type { Shape } from "../ir/shape.js";
import type { Position } from "./position.js";

/** A script as it was written. */
export interface Script {
  readonly probes: readonly ProbeNode[];
  readonly aliases: readonly AliasNode[];
  readonly globals: readonly GlobalNode[];
  readonly functions: readonly FunctionNode[];
}

export type TypeName = "long" | "string";
export type PhaseWord = "pre" | "post" | "fault";

export interface ProbeNode {
  readonly position: Position;
  /** Empty where none was written: see row S12. */
  readonly phases: readonly PhaseWord[];
  readonly points: readonly PointNode[];
  readonly body: Block;
}

/** `probe NAME = POINTS { BODY }`: `=` puts the body in front of the probe's, `+=` behind it. */
export interface AliasNode {
  readonly position: Position;
  readonly name: readonly string[];
  readonly points: readonly PointNode[];
  readonly body: Block;
  readonly epilogue: boolean;
}

export interface PointNode {
  readonly position: Position;
  readonly components: readonly ComponentNode[];
  /** `?`: no error where nothing matches. */
  readonly optional: boolean;
  /** `!`: as `?`, and where it matches the points behind it are left out. */
  readonly sufficient: boolean;
}

export interface ComponentNode {
  readonly name: string;
  readonly argument: string | bigint | undefined;
  readonly position: Position;
}

export interface GlobalNode {
  readonly position: Position;
  readonly name: string;
  readonly initial: Expression | undefined;
  readonly size: bigint | undefined;
  readonly wraps: boolean;
}

export interface FunctionNode {
  readonly position: Position;
  readonly name: string;
  readonly parameters: readonly {
    readonly name: string;
    readonly type: TypeName | undefined;
    readonly position: Position;
  }[];
  readonly returns: TypeName | undefined;
  readonly body: Block;
}

export interface Block {
  readonly kind: "block";
  readonly position: Position;
  readonly statements: readonly Statement[];
}

export type Statement =
  | Block
  | { readonly kind: "empty"; readonly position: Position }
  | { readonly kind: "expression"; readonly position: Position; readonly expression: Expression }
  | {
      readonly kind: "if";
      readonly position: Position;
      readonly condition: Expression;
      readonly then: Statement;
      readonly otherwise: Statement | undefined;
    }
  | {
      readonly kind: "for";
      readonly position: Position;
      readonly initial: Expression | undefined;
      readonly condition: Expression | undefined;
      readonly step: Expression | undefined;
      readonly body: Statement;
    }
  | ForeachNode
  | { readonly kind: "break" | "continue" | "next"; readonly position: Position }
  | { readonly kind: "return"; readonly position: Position; readonly value: Expression | undefined }
  | { readonly kind: "delete"; readonly position: Position; readonly target: Expression }
  | {
      readonly kind: "try";
      readonly position: Position;
      readonly body: Statement;
      readonly message: string | undefined;
      readonly handler: Statement;
    };

export interface ForeachNode {
  readonly kind: "foreach";
  readonly position: Position;
  readonly keys: readonly string[];
  /** `foreach (v = [k] in a)`. */
  readonly value: string | undefined;
  readonly array: string;
  /** `foreach (k in a[*, 3])`; empty where all elements are meant. */
  readonly slice: readonly Expression[];
  /** 0: by value; n: by the n-th key. */
  readonly sortBy: number | undefined;
  readonly descending: boolean;
  /** `@count` and the like, for statistics. */
  readonly statistic: string | undefined;
  readonly limit: Expression | undefined;
  readonly body: Statement;
}

export type Expression =
  | { readonly kind: "number"; readonly position: Position; readonly value: bigint }
  | { readonly kind: "string"; readonly position: Position; readonly value: string }
  | { readonly kind: "name"; readonly position: Position; readonly name: string }
  | {
      readonly kind: "element";
      readonly position: Position;
      readonly name: string;
      readonly keys: readonly Expression[];
    }
  | {
      readonly kind: "call";
      readonly position: Position;
      readonly name: string;
      readonly arguments: readonly Expression[];
    }
  | {
      readonly kind: "unary";
      readonly position: Position;
      readonly operator: "-" | "+" | "!" | "~";
      readonly operand: Expression;
    }
  | {
      readonly kind: "increment";
      readonly position: Position;
      readonly by: 1n | -1n;
      readonly prefix: boolean;
      readonly target: Expression;
    }
  | {
      readonly kind: "binary";
      readonly position: Position;
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "assign";
      readonly position: Position;
      readonly operator: string;
      readonly target: Expression;
      readonly value: Expression;
    }
  | {
      readonly kind: "ternary";
      readonly position: Position;
      readonly condition: Expression;
      readonly then: Expression;
      readonly otherwise: Expression;
    }
  | {
      readonly kind: "in";
      readonly position: Position;
      readonly keys: readonly Expression[];
      readonly array: string;
    }
  /** `@count(x)`, `@hist_log(x)`, `@hist_linear(x, low, high, width)`. */
  | {
      readonly kind: "statistic";
      readonly position: Position;
      readonly name: string;
      readonly operand: Expression;
      readonly parameters: readonly bigint[];
    }
  /** `*` among the keys of a slice. */
  | { readonly kind: "wildcard"; readonly position: Position }
  | ContextNode
  | ResolvedNode
  /** `@entry(…)`: evaluated when the function that returns was entered. */
  | { readonly kind: "entry"; readonly position: Position; readonly operand: Expression }
  /** `@defined(…)`: whether it can be resolved. Decided before types are found; it never runs. */
  | { readonly kind: "defined"; readonly position: Position; readonly operand: Expression };

/** A context variable: `$name->member[index]`, `@var(…)`, `@cast(…)->member`, `$$parms`. */
export interface ContextNode {
  readonly kind: "context";
  readonly position: Position;
  readonly base: ContextBase;
  readonly steps: readonly ContextStep[];
  /** `&` stands in front of it. */
  readonly address: boolean;
  /** How many `$` stand behind it: 1 shows what is in it, 2 also what is in that. */
  readonly shown: 0 | 1 | 2;
}

export type ContextBase =
  /** `$name`; also `$return`. */
  | { readonly kind: "variable"; readonly name: string }
  /** `$$vars` and its like. */
  | { readonly kind: "list"; readonly name: ContextList }
  | {
      readonly kind: "static";
      readonly name: string;
      /** `@var("name@file")`. */
      readonly file: string | undefined;
      readonly module: string | undefined;
    }
  | {
      readonly kind: "cast";
      readonly operand: Expression;
      readonly type: string;
      readonly module: string | undefined;
    };

export type ContextList = "vars" | "parms" | "locals" | "return";

export type ContextStep =
  | { readonly kind: "member"; readonly position: Position; readonly name: string }
  | { readonly kind: "index"; readonly position: Position; readonly index: Expression };

/**
 * What context variables give way to once it is known in which code they stand; never in a script as it
 * was written. They mean what the expressions of the IR mean that are called like them.
 */
export type ResolvedNode =
  | { readonly kind: "register"; readonly position: Position; readonly register: RegisterName }
  | {
      readonly kind: "load";
      readonly position: Position;
      readonly address: Expression;
      readonly bytes: 1 | 2 | 4 | 8;
      readonly signed: boolean;
      readonly memory: MemoryKind;
    }
  | {
      readonly kind: "bits";
      readonly position: Position;
      readonly operand: Expression;
      readonly offset: number;
      readonly width: number;
      readonly signed: boolean;
    }
  | {
      readonly kind: "static-address";
      readonly position: Position;
      readonly image: string;
      readonly address: bigint;
      readonly perCpu: boolean;
    }
  | {
      readonly kind: "show";
      readonly position: Position;
      readonly operand: Expression;
      readonly from: "address" | "value";
      readonly shape: Shape;
    };
