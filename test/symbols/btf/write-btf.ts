/** Writes BTF by hand: every kind, and what no compiler would write. Linux, Documentation/bpf/btf.rst. */
export class BtfWriter {
  private readonly words: number[] = [];
  private strings = "\0";
  private count: number;

  /**
   * @param first number of the first type: 1, or where the base's numbers end
   * @param stringsFirst where its names begin: 0, or where the base's names end
   */
  constructor(
    first = 1,
    private readonly stringsFirst = 0,
  ) {
    this.count = first;
  }

  /** Number of the next type. */
  get next(): number {
    return this.count;
  }

  /** Bytes of its names. */
  get stringsSize(): number {
    return this.strings.length;
  }

  string(text: string): number {
    if (text === "" && this.stringsFirst === 0) return 0;
    const at = this.strings.length;
    this.strings += `${text}\0`;
    return this.stringsFirst + at;
  }

  /** @returns its number */
  type(
    kind: number,
    name: string,
    sizeOrType: number,
    { count = 0, flag = false, rest = [] }: { count?: number; flag?: boolean; rest?: readonly number[] } = {},
  ): number {
    this.words.push(
      name === "" ? 0 : this.string(name),
      ((flag ? 0x8000_0000 : 0) + kind * 2 ** 24 + count) >>> 0,
      sizeOrType,
      ...rest,
    );
    this.count += 1;
    return this.count - 1;
  }

  integer(name: string, size: number, encoding = 0, bits = 8 * size, offset = 0): number {
    return this.type(1, name, size, { rest: [encoding * 2 ** 24 + offset * 2 ** 16 + bits] });
  }

  pointer(to: number): number {
    return this.type(2, "", to);
  }

  array(of: number, length: number): number {
    return this.type(3, "", 0, { rest: [of, of, length] });
  }

  /** @param members name, type, offset in bits, width in bits of a bit field */
  composite(
    kind: "struct" | "union",
    name: string,
    size: number,
    members: readonly (readonly [name: string, type: number, offset: number, width?: number])[],
  ): number {
    const flag = members.some(([, , , width]) => width !== undefined);
    const rest = members.flatMap(([member, type, offset, width = 0]) => [
      member === "" ? 0 : this.string(member),
      type,
      width * 2 ** 24 + offset,
    ]);
    return this.type(kind === "struct" ? 4 : 5, name, size, { count: members.length, flag, rest });
  }

  prototype(returns: number, parameters: readonly (readonly [name: string, type: number])[]): number {
    const rest = parameters.flatMap(([name, type]) => [name === "" ? 0 : this.string(name), type]);
    return this.type(13, "", returns, { count: parameters.length, rest });
  }

  bytes(): Buffer {
    const types = Buffer.alloc(4 * this.words.length);
    this.words.forEach((word, index) => types.writeUInt32LE(word >>> 0, 4 * index));
    const strings = Buffer.from(this.strings, "latin1");
    const header = Buffer.alloc(24);
    header.writeUInt16LE(0xeb9f, 0);
    header[2] = 1;
    header.writeUInt32LE(24, 4);
    header.writeUInt32LE(0, 8);
    header.writeUInt32LE(types.length, 12);
    header.writeUInt32LE(types.length, 16);
    header.writeUInt32LE(strings.length, 20);
    return Buffer.concat([header, types, strings]);
  }
}
