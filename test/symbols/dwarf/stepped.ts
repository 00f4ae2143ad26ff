import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RegisterName } from "../../../src/arch/x86_64/registers.js";

/** One instruction of the program, as the debugger saw it. */
export interface Step {
  readonly registers: Readonly<Partial<Record<RegisterName, bigint>>>;
  /** Text by its address, one character a byte. */
  readonly memory: Readonly<Record<number, string>>;
  /** Of the innermost scope first. */
  readonly variables: readonly {
    readonly name: string;
    readonly function: string;
    /** Numbers in it, by how a script names them; undefined: it is optimised out there. */
    readonly values: readonly (readonly [path: string, value: bigint | undefined])[];
  }[];
}

interface Written {
  readonly registers: Readonly<Record<string, string>>;
  readonly memory: Readonly<Record<string, string>>;
  readonly variables: readonly {
    readonly name: string;
    readonly function: string;
    readonly values: readonly (readonly [string, string | null])[];
  }[];
}

/** A file of this folder, as it is in the sources. */
export function sourceOf(name: string): string {
  return fileURLToPath(new URL(`../../../../test/symbols/dwarf/${name}`, import.meta.url));
}

/** What gdb sees while it steps through program.c. */
export function stepsOf(program: string): readonly Step[] {
  const { stdout, stderr } = spawnSync("gdb", ["-nx", "-batch", "-x", sourceOf("step.py"), program], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    timeout: 60_000,
    // No list of signatures is fetched, and nothing asked.
    env: { ...process.env, DEBUGINFOD_URLS: "" },
  });
  const steps = stdout
    .split("\n")
    .filter((line) => line.startsWith("STEP "))
    .map((line) => stepOf(JSON.parse(line.slice(5)) as Written));
  if (steps.length === 0) throw new Error(`gdb stepped nowhere: ${stdout.slice(-500)}${stderr.slice(-500)}`);
  return steps;
}

function stepOf({ registers, memory, variables }: Written): Step {
  return {
    registers: Object.fromEntries(Object.entries(registers).map(([name, value]) => [name, BigInt(value)])),
    memory: Object.fromEntries(
      Object.entries(memory).map(([at, bytes]) => [Number(at), Buffer.from(bytes, "hex").toString("latin1")]),
    ),
    variables: variables.map(({ values, ...variable }) => ({
      ...variable,
      values: values.map(([path, value]) => [path, value === null ? undefined : BigInt(value)] as const),
    })),
  };
}
