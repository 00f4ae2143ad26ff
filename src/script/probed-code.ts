import type { LocalVariable } from "../symbols/types/location.js";
import type { FunctionType, Type, TypeNames } from "../symbols/types/type.js";
import type { PointNode } from "./ast.js";

/**
 * Code that a probe point matched, as far as context variables (`$name`) are concerned. A body that uses
 * them is compiled once for each: the same name is another register, another offset in another function.
 */
export interface ProbedCode {
  /** Tells it from the others of the same point: `"vfs_read"`, `"ext4_file_open@ext4"`. */
  readonly key: string;
  /** The function's own name. */
  readonly name: string;
  /**
   * Its parameters, in the order of the calling convention (System V AMD64 ABI, 3.2.3); undefined where it
   * is not known: then `$name` is an error with a sentence, and `@defined($name)` is 0.
   */
  readonly prototype: FunctionType | undefined;
  readonly types: TypeNames;
  /** Where in the function the handler runs; parameters are in their registers at its entry only. */
  readonly at: "entry" | "return" | "inside";
  /** Variables of functions at that very place (for a return: at the entry), where debug information tells them. */
  readonly locals: LocalVariables | undefined;
  /** Whose memory pointers point to. */
  readonly memory: "kernel" | "user";
  /** A variable with static storage, for `$name` that is no parameter and `@var("name")`. */
  variable(name: string): StaticVariable | undefined;
}

/** What code has of its own at one place. */
export interface LocalVariables {
  /** Whose code it is: see {@link StaticVariable.image}. */
  readonly image: string;
  /** Those of the innermost scope first; of one name, the first is meant. */
  readonly all: readonly LocalVariable[];
}

/** A variable that is at the same place for all: in the data of a kernel, a module, a program. */
export interface StaticVariable {
  /** Whose data it is in; handed to `Scene.variableAddress`, which knows where that was loaded. */
  readonly image: string;
  /** As in the image: where it is loaded need not be known yet. */
  readonly address: bigint;
  /** `void` where nothing tells it: then scripts can have its address, and cast that. */
  readonly type: Type;
  /** Each processor has its own, `address` being an offset into its part. */
  readonly perCpu: boolean;
}

/** Answers what points matched: the session knows kernels, programs and their types, the language does not. */
export interface ProbedCodes {
  /**
   * Asked only for points of bodies that use context variables.
   *
   * @returns the codes that a point matches; undefined where nothing is known of its variables (a timer, a
   * program without debug information); empty where an optional point matches nothing, for which no
   * handler is made then
   * @throws TraplineError what is wrong with a point that must match something and does not
   */
  codesOf(point: PointNode): readonly ProbedCode[] | undefined;
  /**
   * Types and variables by the name of a module: those of `@cast(p, "task_struct", "kernel")`.
   *
   * @param module `"kernel"`, a kernel module's name, a program's path; undefined where nothing was said:
   * what a script means when it says nothing
   * @returns undefined: there is no such module
   */
  typesOf(module: string | undefined): ModuleTypes | undefined;
}

/** What `@cast` and `@var` ask of a module. */
export type ModuleTypes = Pick<ProbedCode, "types" | "memory" | "variable">;
