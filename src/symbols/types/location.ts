import type { Vaddr } from "../vaddr.js";
import type { Type } from "./type.js";

/** General registers of x86-64. */
export type GeneralRegister =
  | "rax"
  | "rdx"
  | "rcx"
  | "rbx"
  | "rsi"
  | "rdi"
  | "rbp"
  | "rsp"
  | "r8"
  | "r9"
  | "r10"
  | "r11"
  | "r12"
  | "r13"
  | "r14"
  | "r15";

/** How a number of 64 bits comes of registers and memory as they are at one place of the code. */
export type Formula =
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "register"; readonly register: GeneralRegister }
  /** Where something of the image lies: loaded elsewhere, it moves with it. */
  | { readonly kind: "image-address"; readonly vaddr: Vaddr }
  /** What is in memory, with zeros in front. */
  | { readonly kind: "load"; readonly address: Formula; readonly bytes: 1 | 2 | 4 | 8 }
  /** The lowest bits, with zeros or the sign in front. */
  | { readonly kind: "bits"; readonly of: Formula; readonly width: number; readonly signed: boolean }
  /** Of numbers with a sign; comparisons give 1 or 0; `>>>` brings zeros. */
  | {
      readonly kind: "operation";
      readonly operator: FormulaOperator;
      readonly left: Formula;
      readonly right: Formula;
    };

export type FormulaOperator =
  "+" | "-" | "*" | "/" | "&" | "|" | "^" | "<<" | ">>" | ">>>" | "==" | "!=" | "<" | "<=" | ">" | ">=";

/** Where a variable is, at one place of the code. */
export type Location =
  | { readonly kind: "memory"; readonly address: Formula }
  /** Its value is this, of which it has as many bytes as its type: a register, or something computed. */
  | { readonly kind: "value"; readonly value: Formula }
  /** Parts of it are here and there, the first byte first. */
  | { readonly kind: "pieces"; readonly pieces: readonly Piece[] }
  /** It is nowhere; `why` goes on after "it is not available there: ". */
  | { readonly kind: "absent"; readonly why: string };

export interface Piece {
  readonly bytes: number;
  readonly location: Exclude<Location, { kind: "pieces" }>;
}

/** A variable that code has at one place, and where. */
export interface LocalVariable {
  readonly name: string;
  readonly type: Type;
  readonly isParameter: boolean;
  /** The function that it belongs to: another one than the probed where that was put into it. */
  readonly function: string;
  readonly location: Location;
  /** It is said of this very place, not of the whole of its scope. */
  readonly isExact: boolean;
}
