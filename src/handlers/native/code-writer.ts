import type { Condition, General } from "../../arch/x86_64/assembler.js";
import { isInt32 } from "../../arch/x86_64/assembler.js";
import type { Code, Instruction, Mark, Source, Temporary, Value } from "./code.js";
import { Refusal } from "./refusal.js";

/** A handler that is longer is not worth a place near the probed code. */
const MOST_INSTRUCTIONS = 3000;

/** Puts instructions one behind the other. */
export class CodeWriter {
  private readonly hot: Instruction[] = [];
  private readonly cold: Instruction[] = [];
  private current = this.hot;
  private readonly temporaries: Temporary[] = [];
  private marks = 0;
  private length = 0;
  /** The statement at hand, for refusals. */
  protected at = "";

  protected refuse(what: string, where = this.at): never {
    throw new Refusal(what, where);
  }

  protected put(instruction: Instruction): void {
    if (++this.length > MOST_INSTRUCTIONS) this.refuse("a handler that is too long");
    this.current.push(instruction);
  }

  protected mark(): Mark {
    return { number: this.marks++ };
  }

  protected here(mark: Mark): void {
    this.put({ op: "mark", mark });
  }

  protected jump(to: Mark): void {
    this.put({ op: "jump", to });
  }

  /** Code that is out of the way of what is usual; it must end in a jump. */
  protected seldom(body: () => void): void {
    const { current } = this;
    const part: Instruction[] = [];
    this.current = part;
    body();
    this.current = current;
    this.cold.push(...part);
  }

  protected temporary(fixed?: General): Temporary {
    const made: Temporary = { kind: "temporary", number: this.temporaries.length, fixed };
    this.temporaries.push(made);
    return made;
  }

  protected constant(value: bigint): Value {
    const signed = BigInt.asIntN(64, value);
    if (isInt32(signed)) return { kind: "constant", value: Number(signed) };
    const to = this.temporary();
    this.put({ op: "move-wide", to, value: signed });
    return to;
  }

  /** A temporary that nobody else changes. */
  protected copy(from: Source, fixed?: General): Temporary {
    const to = this.temporary(fixed);
    this.put({ op: "move", to, from });
    return to;
  }

  protected inTemporary(value: Source): Temporary {
    return value.kind === "temporary" ? value : this.copy(value);
  }

  /** What a comparison can have on its left. */
  protected inRegister(value: Source): Temporary | Extract<Value, { kind: "entry" }> {
    return value.kind === "temporary" || value.kind === "entry" ? value : this.copy(value);
  }

  protected arithmetic(
    name: Extract<Instruction, { op: "arithmetic" }>["name"],
    left: Source,
    right: Source,
  ): Temporary {
    const to = this.temporary();
    this.put({ op: "arithmetic", name, to, left, right });
    return to;
  }

  protected unary(name: "neg" | "not", from: Source): Temporary {
    const to = this.temporary();
    this.put({ op: "unary", name, to, from });
    return to;
  }

  protected shift(name: "shl" | "shr" | "sar", left: Source, count: number): Temporary {
    const to = this.temporary();
    this.put({ op: "shift", name, to, left, count });
    return to;
  }

  protected jumpIf(condition: Condition, left: Source, right: Source, to: Mark): void {
    this.put({ op: "jump-if", condition, left: this.inRegister(left), right, to });
  }

  protected written(cancel: Mark): Code {
    return { hot: this.hot, cold: this.cold, temporaries: this.temporaries, cancel };
  }
}
