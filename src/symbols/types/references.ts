import type { AliasType, ArrayType, PointerType, QualifiedType, Type } from "./type.js";

/** Whoever finds types by what their reader calls them: an id of BTF's, an offset in debug information. */
export interface TypesByKey<Key> {
  type(key: Key): Type;
}

/** The types that are about one other type, which is looked up when it is asked for. */
abstract class Reference<Key> {
  constructor(
    private readonly types: TypesByKey<Key>,
    private readonly key: Key,
  ) {}

  protected get other(): Type {
    return this.types.type(this.key);
  }
}

export class Pointer<Key> extends Reference<Key> implements PointerType {
  readonly kind = "pointer";

  get to(): Type {
    return this.other;
  }
}

export class ArrayOf<Key> extends Reference<Key> implements ArrayType {
  readonly kind = "array";

  constructor(
    types: TypesByKey<Key>,
    key: Key,
    readonly length: number,
  ) {
    super(types, key);
  }

  get of(): Type {
    return this.other;
  }
}

export class Alias<Key> extends Reference<Key> implements AliasType {
  readonly kind = "alias";

  constructor(
    types: TypesByKey<Key>,
    key: Key,
    readonly name: string,
  ) {
    super(types, key);
  }

  get of(): Type {
    return this.other;
  }
}

export class Qualified<Key> extends Reference<Key> implements QualifiedType {
  constructor(
    types: TypesByKey<Key>,
    key: Key,
    readonly kind: QualifiedType["kind"],
  ) {
    super(types, key);
  }

  get of(): Type {
    return this.other;
  }
}
