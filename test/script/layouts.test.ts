import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { RegisterName } from "../../src/arch/x86_64/registers.js";
import type { Type } from "../../src/symbols/types/type.js";
import { needs } from "../support/needs.js";
import { Dice, type Leaf, randomScalar, randomStruct } from "./random-types.js";
import { type Registers, problemOf, run, type RunOptions } from "./run.js";
import { code, codes, DOUBLE, fn, pointer, struct, LONG, VOID } from "./types.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const AT = -0x7f000000;
const ADDRESS = BigInt.asUintN(64, BigInt(AT));
const REGISTERS = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"] as const satisfies RegisterName[];
/** Words of the stack that a call leaves to be looked at. */
const STACK_WORDS = 64;

const HEAD = `
#include <stdio.h>
#include <string.h>
static unsigned long state = ${String(SEED)};
static void fill(void *at, unsigned long size) {
  for (unsigned char *byte = at; size-- > 0; byte++) {
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    *byte = state >> 56;
  }
}
static void show(const void *at, unsigned long size) {
  for (const unsigned char *byte = at; size-- > 0; byte++) printf("%02x", *byte);
  printf("\\n");
}
unsigned long registers[6], words[${String(STACK_WORDS)}], *stack;
`;

/** Lines that a C program prints. */
function compiledLines(text: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "trapline-layouts-"));
  try {
    const source = join(folder, "layouts.c");
    writeFileSync(source, text);
    execFileSync("gcc", ["-w", "-O1", "-o", join(folder, "layouts"), source]);
    return execFileSync(join(folder, "layouts"), { encoding: "latin1" }).trimEnd().split("\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A value in C as a signed number of 64 bits. What is no truth may be in a `_Bool`: only its byte is looked at. */
function inC(value: string, { inC: path, isBool }: Leaf): string {
  return isBool ? `(long)*(unsigned char *)&${value}${path}` : `(long)${value}${path}`;
}

function printOf(script: string, options: RunOptions): string {
  const { output, outcomes } = run(script, { ...options, limits: { MAXSTRINGLEN: 100_000 } });
  for (const outcome of outcomes) if (outcome.kind !== "returned") throw new Error(JSON.stringify(outcome));
  return output;
}

test(
  "members of random structures are where the compiler puts them, with its widths and signs",
  needs("gcc"),
  () => {
    const dice = new Dice(SEED);
    const structs = Array.from({ length: 60 }, (_, index) => randomStruct(dice, `s${String(index)}`, 7));
    const lines = compiledLines(`${HEAD}
    ${structs.map(({ type, definition }) => `struct ${type.name} ${definition};`).join("\n")}
    int main() {
      ${structs
        .map(({ type: { name }, leaves }) => {
          const values = leaves.map((leaf) => `printf("%ld ", ${inC("value", leaf)});`).join("\n");
          return `{ struct ${name} value; fill(&value, sizeof value); show(&value, sizeof value);\n${values} printf("\\n"); }`;
        })
        .join("\n")}
      return 0;
    }`);
    structs.forEach(({ type, definition, leaves }, index) => {
      const bytes = Buffer.from(lines[2 * index] ?? "", "hex").toString("latin1");
      const about = `SEED=${String(SEED)} struct ${definition}`;
      assert.equal(type.size, bytes.length, about);
      const print = `probe kernel.function("f") { printdln(" ", ${leaves.map(({ inScript }) => `$s${inScript}`).join(", ")}, "") }`;
      const options = {
        codes: codes(code("f", fn(VOID, { s: pointer(type) }))),
        memory: { [AT]: bytes },
        registers: { rdi: ADDRESS },
      };
      assert.equal(printOf(print, options).trimEnd(), lines[2 * index + 1]?.trimEnd(), about);
    });
  },
);

/** A parameter, in C and in a script. */
interface Parameter {
  readonly text: string;
  readonly type: Type;
  readonly leaves: readonly Leaf[];
  readonly definition: string;
}

function randomParameter(dice: Dice, name: string): Parameter {
  const what = dice.roll(10);
  if (what === 0) return { text: "double", type: DOUBLE, leaves: [], definition: "" };
  if (what === 1) {
    const mixed = struct(name, [
      ["a", DOUBLE],
      ["b", LONG],
    ]);
    return {
      text: `struct ${name}`,
      type: mixed,
      leaves: [],
      definition: `struct ${name} { double a; long b; };`,
    };
  }
  if (what < 5) {
    const { type, definition, leaves } = randomStruct(dice, name, what === 2 ? 6 : 2, 1);
    return { text: `struct ${name}`, type, leaves, definition: `struct ${name} ${definition};` };
  }
  const { text, type } = randomScalar(dice);
  return { text, type, leaves: [{ inC: "", inScript: "", isBool: text === "_Bool" }], definition: "" };
}

test("parameters of random functions are where the compiler passes them", needs("gcc"), () => {
  const dice = new Dice(SEED + 1);
  const functions = Array.from({ length: 60 }, (_, index) => {
    const name = `f${String(index)}`;
    const parameters = Array.from({ length: 1 + dice.roll(12) }, (__, at) =>
      randomParameter(dice, `${name}_${String(at)}`),
    );
    return { name, parameters, returnsLarge: dice.roll(4) === 0 };
  });
  const lines = compiledLines(`${HEAD}
    struct large { long a[3]; };
    ${functions.map(({ parameters }) => parameters.map(({ definition }) => definition).join("\n")).join("\n")}
    ${functions
      .map(({ name, parameters, returnsLarge }) => {
        const list = parameters.map(({ text }, at) => `${text} p${String(at)}`).join(", ");
        const stores = REGISTERS.map(
          (register, at) => `mov %${register}, registers+${String(8 * at)}(%rip)\\n`,
        );
        return `${returnsLarge ? "struct large" : "void"} __attribute__((naked)) ${name}(${list}) {
          __asm__("${stores.join("")} mov %rsp, stack(%rip)\\n lea words(%rip), %r10\\n xor %r11, %r11\\n"
            "1: mov (%rsp,%r11,8), %rax\\n mov %rax, (%r10,%r11,8)\\n inc %r11\\n cmp $${String(STACK_WORDS)}, %r11\\n jb 1b\\n"
            "mov %rdi, %rax\\n ret");
        }`;
      })
      .join("\n")}
    int main() {
      volatile char room[${String(8 * STACK_WORDS)}]; memset((void *)room, 1, sizeof room);
      ${functions
        .map(({ name, parameters }) => {
          const declared = parameters.map(
            ({ text }, at) =>
              `${text} p${String(at)}; fill(&p${String(at)}, sizeof p${String(at)});${text === "_Bool" ? `*(unsigned char *)&p${String(at)} &= 1;` : ""}`,
          );
          const printed = parameters.flatMap(({ leaves }, at) =>
            leaves.map((leaf) => `printf("%ld ", ${inC(`p${String(at)}`, leaf)});`),
          );
          const values = parameters.map((_, at) => `p${String(at)}`).join(", ");
          return `{ ${declared.join(" ")} ${name}(${values}); show(registers, sizeof registers); show(words, sizeof words); ${printed.join(" ")} printf("\\n"); }`;
        })
        .join("\n")}
      return 0;
    }`);
  const large = struct("large", [["a", { kind: "array", of: LONG, length: 3 }]]);
  let read = 0;
  let refused = 0;
  functions.forEach(({ name, parameters, returnsLarge }, index) => {
    const [registerBytes = "", stack = "", values = ""] = lines.slice(3 * index, 3 * index + 3);
    const passed = Buffer.from(registerBytes, "hex");
    const registers: Registers = Object.fromEntries(
      REGISTERS.map((register, at) => [register, passed.readBigUInt64LE(8 * at)]),
    );
    const prototype = fn(
      returnsLarge ? large : VOID,
      Object.fromEntries(parameters.map(({ type }, at) => [`p${String(at)}`, type])),
    );
    const options = {
      codes: codes(code(name, prototype)),
      memory: { [AT]: Buffer.from(stack, "hex").toString("latin1") },
      registers: { ...registers, rsp: ADDRESS },
    };
    const expected = values.trimEnd().split(" ");
    let next = 0;
    parameters.forEach(({ leaves, text, definition }, at) => {
      for (const leaf of leaves) {
        const wanted = expected[next++];
        const script = `probe kernel.function("f") { print($p${String(at)}${leaf.inScript}) }`;
        const about = `SEED=${String(SEED)} ${name}, parameter ${String(at)}: ${text} ${definition} ${leaf.inC}`;
        if (passedInParts(script, options)) refused++;
        else {
          assert.equal(printOf(script, options), wanted, about);
          read++;
        }
      }
    });
  });
  assert.ok(read > 200 && refused > 0, `${String(read)} read, ${String(refused)} refused`);
});

/** By value in two registers: refused with that reason, and no other. */
function passedInParts(script: string, options: RunOptions): boolean {
  try {
    run(script, options);
    return false;
  } catch {
    assert.match(problemOf(script, options), /it is passed by value in two registers/);
    return true;
  }
}
