import { type Address, addressOf, offsetBy, toBigInt } from "../../../../base/address.js";
import { BREAK, type GdbClient } from "../../protocol/client.js";
import { StubRefusal } from "../../protocol/errors.js";

/**
 * A kernel that stands at a breakpoint of a tracer that was killed goes on from there at the instruction itself.
 * To be called before KGDB is asked why it stands: for that it forgets all its breakpoints, and has taken them out of
 * the text already.
 */
export function rewindFromLeft(client: GdbClient): void {
  const value = client.readRegister("rip");
  const pc: Address | undefined = value === undefined ? undefined : addressOf(value);
  if (pc === undefined) return;
  const at = offsetBy(pc, -1);
  try {
    client.remove(BREAK.software, at, 1);
  } catch (error) {
    if (!(error instanceof StubRefusal)) throw error;
    // No breakpoint of anybody is there: it stands for another reason.
    return;
  }
  client.writeRegister("rip", toBigInt(at));
}
