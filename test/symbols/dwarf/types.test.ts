import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Dwarf } from "../../../src/symbols/dwarf/dwarf.js";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import { typeText } from "../../../src/script/context/type-text.js";
import { sizeOf } from "../../../src/symbols/types/members.js";
import { type CompositeType, resolved } from "../../../src/symbols/types/type.js";
import { needs } from "../../support/needs.js";
import { run, temporaryFolder } from "../build-programs.js";
import { clangBuild } from "./clang-programs.js";

const folder = temporaryFolder();

/** Each composite with the names of its members, a `:` in front of those that are bit fields. */
const COMPOSITES = {
  "struct plain": ["a", "b", "c", "d", "e"],
  "struct fields": [":one", ":two", ":three", "between", ":far", ":flag"],
  "struct packed": ["tag", "value", ":six", ":most"],
  "struct nested": ["grid", "inside", "same", "other", "handler", "last"],
  "union either": ["number", "real", "bytes", "both"],
  alias_of_it: ["only"],
} as const satisfies Record<string, readonly string[]>;

const TYPES = `
  struct plain { char a; short b; long c; int d; char e; };
  struct fields { unsigned one : 1; int two : 7; unsigned long three : 33; short between; unsigned long far : 60; _Bool flag : 1; };
  struct __attribute__((packed)) packed { char tag; long value; unsigned six : 6; unsigned long most : 50; };
  union either { long number; double real; unsigned char bytes[12]; struct { int low, high; } both; };
  typedef struct { int only; } alias_of_it;
  struct nested {
    int grid[3][5];
    struct plain inside;
    union { long same; struct { char other; }; };
    int (*handler)(struct nested *, const char *, ...);
    alias_of_it last[];
  };
  enum small { A, B = 200 } __attribute__((packed));
  enum large { C = 1UL << 40, D = -1 };
  enum { E = 7 } nameless;
`;

/** A program that prints what the compiler made of it: sizes, offsets, and bytes with one bit field set. */
function program(): string {
  const lines = Object.entries(COMPOSITES).flatMap(([type, members]) => [
    `printf("${type} size %zu\\n", sizeof(${type}));`,
    ...members.map((name) =>
      name.startsWith(":")
        ? `{ ${type} it; memset(&it, 0, sizeof it); it.${name.slice(1)} = -1; printf("${type} bits ${name.slice(1)} "); dump(&it, sizeof it); }`
        : `printf("${type} at ${name} %zu\\n", offsetof(${type}, ${name}));`,
    ),
  ]);
  return `
    #include <stddef.h>
    #include <stdio.h>
    #include <string.h>
    ${TYPES}
    static void dump(const void *at, size_t size) {
      for (size_t i = 0; i < size; i++) printf("%02x", ((const unsigned char *)at)[i]);
      printf("\\n");
    }
    const volatile char *pointer;
    unsigned long long number; long double wide; _Bool truth; float real;
    void *nothing; int (*table[4])(void); struct unknown *unknown; signed char tiny; __int128 huge;
    struct nested *nested; enum small small; enum large large; union either either; struct fields fields; struct packed packed;
    alias_of_it alias;
    int called(struct nested *where, const char *format, ...) { return where != 0 && format != 0; }
    void other(long double wide, struct plain whole) { (void)wide; (void)whole; }
    int main(void) { ${lines.join("\n")} return called(0, 0); }
  `;
}

const BUILDS = {
  "DWARF 5": ["-gdwarf-5"],
  "DWARF 4": ["-gdwarf-4"],
  "DWARF 3": ["-gdwarf-3", "-gstrict-dwarf"],
  "DWARF 2": ["-gdwarf-2", "-gstrict-dwarf"],
  "units of one type": ["-gdwarf-5", "-fdebug-types-section"],
} as const satisfies Record<string, readonly string[]>;

for (const [name, flags] of Object.entries(BUILDS))
  test(
    `types of ${name} have the sizes and offsets that the program itself prints`,
    needs("gcc", "libc6-dev"),
    () => {
      const source = join(folder, "types.c");
      writeFileSync(source, program());
      const output = join(folder, name.replace(/\W+/g, "-"));
      run("gcc", source, "-O1", "-no-pie", "-w", ...flags, "-o", output);
      using elf = ElfImage.open(output, { debugRoots: [] });
      const dwarf = Dwarf.of(elf);
      assert.ok(dwarf !== undefined);
      assert.deepEqual(described(dwarf), run(output).trimEnd().split("\n"));
      assert.deepEqual(texts(dwarf), TEXTS);
      const called = dwarf.prototype("called");
      assert.equal(called && typeText(called), "int (struct nested*, char const*, ...)");
      assert.deepEqual(
        called?.parameters.map((each) => each.name),
        ["where", "format"],
      );
      const values = (kind: string): unknown => {
        const type = dwarf.types.named("enum", kind);
        return type?.kind === "enum" && [type.size, type.values.map((each) => [each.name, each.value])];
      };
      assert.deepEqual(values("small"), [
        1,
        [
          ["A", 0n],
          ["B", 200n],
        ],
      ]);
      assert.deepEqual(values("large"), [
        8,
        [
          ["C", 1n << 40n],
          ["D", -1n],
        ],
      ]);
    },
  );

/** Variables as C writes them. */
const TEXTS = {
  pointer: "char const volatile*",
  number: "long long unsigned int",
  wide: "long double",
  truth: "_Bool",
  real: "float",
  nothing: "void*",
  table: "int (*)()[4]",
  unknown: "struct unknown*",
  tiny: "signed char",
  huge: "__int128",
  nested: "struct nested*",
  small: "enum small",
  alias: "alias_of_it",
};

function texts(dwarf: Dwarf): Record<string, string> {
  return Object.fromEntries(
    Object.keys(TEXTS).map((name) => {
      const type = dwarf.variable(name)?.type;
      return [
        name,
        type === undefined ? "unknown" : typeText(type).replace("volatile const", "const volatile"),
      ];
    }),
  );
}

/** What the program prints, from what debug information says. */
function described(dwarf: Dwarf): string[] {
  return Object.entries(COMPOSITES).flatMap(([text, members]) => {
    const [kind = "", name = kind] = text.split(" ");
    const named =
      kind === "struct" || kind === "union"
        ? dwarf.types.named(kind, name)
        : dwarf.types.named("alias", kind);
    const type = named && resolved(named);
    assert.ok(type?.kind === "struct" || type?.kind === "union", text);
    const size = sizeOf(type) ?? -1;
    return [
      `${text} size ${String(size)}`,
      ...members.map((member) => {
        const plain = member.replace(":", "");
        const found = placeIn(type, plain);
        assert.ok(found !== undefined, `${text} ${plain}`);
        if (!member.startsWith(":")) return `${text} at ${plain} ${String(found.bits / 8)}`;
        assert.ok(found.width !== undefined, `${plain} is a bit field`);
        const bytes = Buffer.alloc(size);
        for (let bit = found.bits; bit < found.bits + found.width; bit++) {
          const at = Math.floor(bit / 8);
          bytes[at] = (bytes[at] ?? 0) | (1 << (bit % 8));
        }
        return `${text} bits ${plain} ${bytes.toString("hex")}`;
      }),
    ];
  });
}

function placeIn(
  type: CompositeType,
  name: string,
): { readonly bits: number; readonly width: number | undefined } | undefined {
  for (const member of type.members) {
    if (member.name === name) return { bits: member.bitOffset, width: member.bitSize };
    const inner = resolved(member.type);
    if (member.name !== "" || (inner.kind !== "struct" && inner.kind !== "union")) continue;
    const found = placeIn(inner, name);
    if (found !== undefined) return { bits: member.bitOffset + found.bits, width: found.width };
  }
  return undefined;
}

test("sections that are packed by zstd are read", needs("gcc"), () => {
  const plain = join(folder, "plain");
  writeFileSync(plain, clangBuild("clang -O2 -gdwarf-5"));
  const packed = join(folder, "packed");
  run("objcopy", "--compress-debug-sections=zstd", plain, packed);
  using elf = ElfImage.open(packed, { debugRoots: [] });
  assert.ok(elf.sections.some((section) => section.name === ".debug_info" && section.compressed));
  const dwarf = Dwarf.of(elf);
  using unpacked = ElfImage.open(plain, { debugRoots: [] });
  const sizeIn = (of: Dwarf | undefined): number | undefined => {
    const type = of?.types.named("struct", "sample");
    return type && sizeOf(type);
  };
  assert.ok((sizeIn(dwarf) ?? 0) > 0);
  assert.equal(sizeIn(dwarf), sizeIn(Dwarf.of(unpacked)));
  assert.equal(dwarf?.prototype("summed")?.parameters.length, 3);
});

test("an image without debug information has none, and says nothing", needs("gcc"), () => {
  const output = join(folder, "bare");
  writeFileSync(join(folder, "bare.c"), "int main(void) { return 0; }");
  run("gcc", join(folder, "bare.c"), "-nostartfiles", "-nostdlib", "-Wl,-emain", "-o", output);
  using elf = ElfImage.open(output, { debugRoots: [] });
  assert.equal(Dwarf.of(elf), undefined);
});
