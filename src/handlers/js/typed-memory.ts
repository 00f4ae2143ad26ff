import { extentOf, type Shape } from "../../ir/shape.js";
import type { ByteString } from "../../runtime/byte-string.js";
import type { HandlerContext } from "../../runtime/context.js";
import { ScriptError } from "../../runtime/errors.js";
import { escapeString } from "../../runtime/escape.js";
import { show } from "../../runtime/show.js";
import { readInteger, readString } from "./memory-reads.js";
import type { Scene } from "./scene.js";

/** What context variables came to: registers, typed reads, values of a function's entry, values as texts. */
export function typedMemory(k: HandlerContext, scene: Scene): Record<string, unknown> {
  const most = k.services.limits.MAXSTRINGLEN;
  const load = (bytes: 1 | 2 | 4 | 8, signed: boolean) => (at: bigint) =>
    readInteger(k.readFault, k.thread, at, bytes, signed);
  const quote = (bytes: ByteString): ByteString =>
    escapeString(bytes, { maxStringLength: most, quoted: true });
  const quoted = (address: bigint): ByteString => {
    const read = readString(k.readFault, k.thread, address, most - 1);
    if (typeof read === "string") return quote(read);
    k.contained();
    return `0x${BigInt.asUintN(64, address).toString(16)}`;
  };
  const shown = (shape: Shape, fromAddress: boolean, value: bigint): ByteString => {
    const bytes = new Uint8Array(fromAddress ? extentOf(shape) : 8);
    const address = fromAddress ? value : undefined;
    if (!fromAddress) new DataView(bytes.buffer).setBigInt64(0, value, true);
    else if (bytes.length > 0 && k.readFault.whileFilling(bytes, k.thread, value) !== undefined) k.raise();
    return show(shape, { bytes, address, quoted, quote });
  };
  return {
    load1s: load(1, true),
    load1u: load(1, false),
    load2s: load(2, true),
    load2u: load(2, false),
    load4s: load(4, true),
    load4u: load(4, false),
    load8s: load(8, true),
    load8u: load(8, false),
    generalRegister: (index: number) => BigInt.asIntN(64, k.thread.registers.values[index] ?? 0n),
    staticAddress: (image: string, address: bigint, perCpu: boolean): bigint => {
      const found = scene.variableAddress(k.hit, image, address, perCpu);
      if (found === undefined) throw new ScriptError(`'${image}' is not loaded: its variables are nowhere`);
      return BigInt.asIntN(64, found);
    },
    entryValue: (index: number) => k.saved(index),
    show: (shape: Shape, fromAddress: boolean, operand: () => bigint): ByteString => {
      const { depth, where } = k;
      try {
        const value = operand();
        k.where = where;
        return shown(shape, fromAddress, value).slice(0, most - 1);
      } catch (error) {
        k.caught(error, depth);
        return "ERROR";
      }
    },
  };
}
