/**
 * How a value of the target is shown: what `$x$` and `$x$$` print. Offsets are in bytes from the beginning
 * of what is shown.
 */
export type Shape =
  /** Nothing is read for it: `{...}`. */
  | { readonly kind: "text"; readonly text: string }
  | {
      readonly kind: "number";
      readonly bytes: number;
      readonly signed: boolean;
      /** A bit field in that many bytes. */
      readonly bits: { readonly offset: number; readonly width: number } | undefined;
    }
  /** One byte, as C writes it. */
  | { readonly kind: "character" }
  /** 8 bytes in hexadecimal. */
  | { readonly kind: "address"; readonly prefix: string }
  /** What a pointer of 8 bytes points to, up to its NUL, in quotes; the address where it cannot be read. */
  | { readonly kind: "pointed-string" }
  /** Bytes that are here, up to a NUL, in quotes; `length` 0 where only the NUL tells how many. */
  | { readonly kind: "string"; readonly length: number }
  | { readonly kind: "record"; readonly fields: readonly Field[]; readonly more: boolean }
  | {
      readonly kind: "list";
      readonly element: Shape;
      readonly stride: number;
      readonly count: number;
      readonly more: boolean;
    };

export interface Field {
  /** In front of the `=`: `.name`, `<union>`. */
  readonly label: string;
  readonly offset: number;
  readonly shape: Shape;
}

/** How many bytes a shape is read from. */
export function extentOf(shape: Shape): number {
  switch (shape.kind) {
    case "text":
      return 0;
    case "number":
      return shape.bytes;
    case "character":
      return 1;
    case "address":
    case "pointed-string":
      return 8;
    case "string":
      return shape.length;
    case "record":
      return shape.fields.reduce((most, each) => Math.max(most, each.offset + extentOf(each.shape)), 0);
    case "list":
      return shape.count === 0 ? 0 : shape.stride * (shape.count - 1) + extentOf(shape.element);
  }
}
