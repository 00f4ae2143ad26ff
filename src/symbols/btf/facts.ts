/** Numbers of the BPF type format. Linux, Documentation/bpf/btf.rst. */
export const BTF_MAGIC = 0xeb9f;
export const BTF_HEADER_SIZE = 24;
/** A type begins with its name, its kind and count, and a size or another type: three words. */
export const BTF_TYPE_SIZE = 12;

export const KIND = {
  void: 0,
  integer: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  forward: 7,
  alias: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  function: 12,
  prototype: 13,
  variable: 14,
  section: 15,
  float: 16,
  declarationTag: 17,
  typeTag: 18,
  enum64: 19,
} as const;

/** Bytes behind the three words of a type: so many at least, and so many for each that it counts. */
export const KIND_SIZES: readonly (readonly [fixed: number, each: number] | undefined)[] = [
  undefined,
  [4, 0],
  [0, 0],
  [12, 0],
  [0, 12],
  [0, 12],
  [0, 8],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 8],
  [4, 0],
  [0, 12],
  [0, 0],
  [4, 0],
  [0, 0],
  [0, 12],
];

/** Bits of the word behind an integer. */
export const INTEGER = { signed: 1, char: 2, bool: 4 } as const;
