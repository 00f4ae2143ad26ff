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
  /** Whose memory pointers point to. */
  readonly memory: "kernel" | "user";
  /** A variable with static storage, for `$name` that is no parameter and `@var("name")`. */
  variable(
    name: string,
  ): { readonly address: bigint; readonly type: Type; readonly perCpu: boolean } | undefined;
}

/** Answers what points matched: the session knows kernels, programs and their types, the language does not. */
export interface ProbedCodes {
  /**
   * @returns the codes that a point matches; empty where nothing is known of its variables (a timer, a
   * program without debug information)
   */
  codesOf(point: PointNode): readonly ProbedCode[];
  /** Types of `@cast(p, "task_struct", "kernel")` and of `@var("x", "kernel")`; undefined: no such module. */
  typesOf(module: string | undefined): ProbedCode | undefined;
}
