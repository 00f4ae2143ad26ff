import type { Shape } from "../ir/shape.js";
import { type ByteString, fromBytes } from "./byte-string.js";
import { escapeByte } from "./c-escapes.js";

/** What a shape is shown from. */
export interface Shown {
  /** As many bytes as the shape extends over, or more. */
  readonly bytes: Uint8Array;
  /** Where they are; undefined where they are a value and in no memory. */
  readonly address: bigint | undefined;
  /** The text at an address, in quotes; the address itself where none can be read there. */
  readonly quoted: (address: bigint) => ByteString;
  /** Bytes up to a NUL, in quotes. */
  readonly quote: (bytes: ByteString) => ByteString;
}

/** A value as SystemTap's `$x$` prints it: `{.a=1, .name="x", .next=0xffff…}`. */
export function show(shape: Shape, from: Shown, offset = 0): ByteString {
  const { bytes } = from;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (shape.kind) {
    case "text":
      return shape.text;
    case "number":
      return integer(bytes.subarray(offset, offset + shape.bytes), shape).toString();
    case "character":
      return `'${escapeByte(view.getUint8(offset), "'")}'`;
    case "address":
      return `${shape.prefix}0x${view.getBigUint64(offset, true).toString(16)}`;
    case "pointed-string":
      return from.quoted(view.getBigUint64(offset, true));
    case "string": {
      if (shape.length === 0)
        return from.address === undefined ? '""' : from.quoted(from.address + BigInt(offset));
      const whole = bytes.subarray(offset, offset + shape.length);
      const end = whole.indexOf(0);
      return from.quote(fromBytes(end < 0 ? whole : whole.subarray(0, end)));
    }
    case "record": {
      const fields = shape.fields.map(
        (each) => `${each.label}=${show(each.shape, from, offset + each.offset)}`,
      );
      if (shape.more) fields.push("...");
      return `{${fields.join(", ")}}`;
    }
    case "list": {
      const elements = Array.from({ length: shape.count }, (_, index) =>
        show(shape.element, from, offset + index * shape.stride),
      );
      if (shape.more) elements.push("...");
      return `[${elements.join(", ")}]`;
    }
  }
}

function integer(bytes: Uint8Array, shape: Extract<Shape, { kind: "number" }>): bigint {
  let value = 0n;
  for (let index = bytes.length - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index] ?? 0);
  const { offset, width } = shape.bits ?? { offset: 0, width: 8 * shape.bytes };
  const field = value >> BigInt(offset);
  return shape.signed ? BigInt.asIntN(width, field) : BigInt.asUintN(width, field);
}
