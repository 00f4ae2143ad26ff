// Takes out of a kernel's BTF what no recorded session asks for. Linux Documentation/bpf/btf.rst.

const HEADER_BYTES = 24;
const HEADER = { typesAt: 8, typesLength: 12, stringsAt: 16, stringsLength: 20 } as const;
const COMMON_BYTES = 12;
const KIND = {
  pointer: 2,
  struct: 4,
  union: 5,
  enum: 6,
  function: 12,
  variable: 14,
  section: 15,
  enum64: 19,
} as const;
/** Bytes behind the common ones: fixed, and for each of `vlen`. Kinds that are not named have none. */
const BEHIND: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  1: [4, 0],
  3: [12, 0],
  [KIND.struct]: [0, 12],
  [KIND.union]: [0, 12],
  [KIND.enum]: [0, 8],
  13: [0, 8],
  [KIND.variable]: [4, 0],
  [KIND.section]: [0, 12],
  17: [4, 0],
  [KIND.enum64]: [0, 12],
};

export interface Wanted {
  readonly structs: ReadonlySet<string>;
  readonly functions: ReadonlySet<string>;
  readonly variables: ReadonlySet<string>;
}

/**
 * Types keep their numbers. A struct that is not wanted keeps its size, and loses its members; an enumeration its
 * values; a function or variable that is not wanted becomes a pointer to nothing.
 */
export function reducedTypes(btf: Buffer, wanted: Wanted): Buffer {
  const types = btf.subarray(
    HEADER_BYTES + btf.readUInt32LE(HEADER.typesAt),
    HEADER_BYTES + btf.readUInt32LE(HEADER.typesAt) + btf.readUInt32LE(HEADER.typesLength),
  );
  const strings = btf.subarray(HEADER_BYTES + btf.readUInt32LE(HEADER.stringsAt));
  const nameAt = (offset: number): string => strings.toString("latin1", offset, strings.indexOf(0, offset));
  const names = new Map<string, number>([["", 0]]);
  const kept: string[] = [""];
  let length = 1;
  const place = (offset: number): number => {
    const name = nameAt(offset);
    const known = names.get(name);
    if (known !== undefined) return known;
    names.set(name, length);
    kept.push(name);
    length += name.length + 1;
    return length - name.length - 1;
  };
  const all = [...described(types)];
  const variables = new Set<number>();
  all.forEach(({ kind, common }, index) => {
    if (kind === KIND.variable && wanted.variables.has(nameAt(common.readUInt32LE(0))))
      variables.add(index + 1);
  });
  const parts = all.map(({ kind, common, behind }, index) => {
    const name = nameAt(common.readUInt32LE(0));
    const isStruct = kind === KIND.struct || kind === KIND.union;
    if (
      kind === KIND.function
        ? !wanted.functions.has(name)
        : kind === KIND.variable && !variables.has(index + 1)
    )
      return nothing();
    const head = Buffer.from(common);
    head.writeUInt32LE(place(common.readUInt32LE(0)), 0);
    if (
      (isStruct && name !== "" && !wanted.structs.has(name)) ||
      kind === KIND.enum ||
      kind === KIND.enum64
    ) {
      // Neither members nor values.
      head.writeUInt32LE((common.readUInt32LE(4) & 0xffff0000) >>> 0, 4);
      return head;
    }
    const rest = Buffer.from(behind);
    if (isStruct || kind === 13) {
      const [, each] = BEHIND[kind] ?? [0, 0];
      for (let at = 0; at < rest.length; at += each) rest.writeUInt32LE(place(rest.readUInt32LE(at)), at);
    }
    if (kind !== KIND.section) return Buffer.concat([head, rest]);
    const entries: Buffer[] = [];
    for (let at = 0; at < rest.length; at += 12)
      if (variables.has(rest.readUInt32LE(at))) entries.push(rest.subarray(at, at + 12));
    head.writeUInt32LE(((common.readUInt32LE(4) & 0xffff0000) | entries.length) >>> 0, 4);
    return Buffer.concat([head, ...entries]);
  });
  const typeBytes = Buffer.concat(parts);
  const stringBytes = Buffer.from(`${kept.join("\0")}\0`, "latin1");
  const header = Buffer.from(btf.subarray(0, HEADER_BYTES));
  header.writeUInt32LE(0, HEADER.typesAt);
  header.writeUInt32LE(typeBytes.length, HEADER.typesLength);
  header.writeUInt32LE(typeBytes.length, HEADER.stringsAt);
  header.writeUInt32LE(stringBytes.length, HEADER.stringsLength);
  return Buffer.concat([header, typeBytes, stringBytes]);
}

function* described(
  types: Buffer,
): Generator<{ readonly kind: number; readonly common: Buffer; readonly behind: Buffer }> {
  for (let at = 0; at < types.length;) {
    const info = types.readUInt32LE(at + 4);
    const kind = (info >>> 24) & 31;
    const [fixed, each] = BEHIND[kind] ?? [0, 0];
    const end = at + COMMON_BYTES + fixed + each * (info & 0xffff);
    yield {
      kind,
      common: types.subarray(at, at + COMMON_BYTES),
      behind: types.subarray(at + COMMON_BYTES, end),
    };
    at = end;
  }
}

function nothing(): Buffer {
  const bytes = Buffer.alloc(COMMON_BYTES);
  bytes.writeUInt32LE(KIND.pointer << 24, 4);
  return bytes;
}
