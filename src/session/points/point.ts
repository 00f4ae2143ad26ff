/**
 * What a probe point of a script means, before anything is looked up in a target. Points are data:
 * the syntax stays in script/, what is armed for them in the other files here.
 */
export type Point =
  /** `order`: of `begin(N)`; smaller ones run earlier. */
  | { readonly kind: "begin" | "end" | "error"; readonly order: number }
  /** Never fires; SystemTap has it for code that shall only be compiled. */
  | { readonly kind: "never" }
  | { readonly kind: "timer"; readonly milliseconds: number }
  | {
      readonly kind: "function";
      readonly program: ProgramPattern;
      /** Pattern for the library's name; undefined: the program itself. */
      readonly library: string | undefined;
      readonly functions: string;
      readonly where: "entry" | "return";
      /** `.exported`: only those that a kernel lets its modules use. */
      readonly exported?: boolean;
    }
  | {
      readonly kind: "statement";
      readonly program: ProgramPattern;
      readonly library: string | undefined;
      /** As in the ELF file; of a kernel, as in its memory. */
      readonly vaddr: bigint;
    }
  | {
      readonly kind: "offset";
      readonly program: ProgramPattern;
      readonly library: string | undefined;
      readonly functions: string;
      /** Bytes from the function's beginning. */
      readonly offset: number;
    }
  | { readonly kind: "process"; readonly program: ProgramPattern; readonly event: ProcessEvent }
  | {
      readonly kind: "system-call";
      readonly program: ProgramPattern;
      /** A pattern; undefined: every call. */
      readonly name: string | undefined;
      readonly where: "entry" | "return";
    };

/** A point on instructions that the text of a program has. */
export type TextPoint = Extract<Point, { kind: "function" | "statement" | "offset" }>;

export function isText(point: Point): point is TextPoint {
  return point.kind === "function" || point.kind === "statement" || point.kind === "offset";
}

/** Points at which something is executed, that can fault. */
export function hasInstruction(point: Point): boolean {
  return isText(point) || point.kind === "system-call";
}

export function isReturn(point: Point): boolean {
  return (point.kind === "function" || point.kind === "system-call") && point.where === "return";
}

export type ProcessEvent = "begin" | "end" | "thread.begin" | "thread.end";

/** Is it about a kernel, not about processes? */
export function isOfKernel(program: ProgramPattern): boolean {
  return program.kind === "kernel" || program.kind === "module";
}

/** Which processes, or which part of a kernel, a point is about. */
export type ProgramPattern =
  /** `process`: the target's main program. */
  | { readonly kind: "target" }
  /** `process("PATH")`: any process of the target that runs it. Resolved through $PATH. */
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "pid"; readonly pid: number }
  /** `syscall.*`: every process of the target. */
  | { readonly kind: "any" }
  /** `kernel`: the kernel itself, without its modules. */
  | { readonly kind: "kernel" }
  /** `module("NAME")`: modules of a kernel, by a pattern. */
  | { readonly kind: "module"; readonly module: string };
