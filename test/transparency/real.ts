import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Material } from "./material.js";
import type { RealProgram } from "./programs.js";
import { bare, probed } from "./session.js";

/** What became of a program with every function of it counted. */
export interface Outcome {
  readonly armed: number;
  /** Functions that could not be, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** Places that were disarmed, each after {@link RealProgram.maxHits} hits. */
  readonly exhausted: number;
  readonly hits: number;
  readonly bareSeconds: number;
  readonly seconds: number;
  /** How it differs from a bare run; undefined: it does not. */
  readonly misfit: string | undefined;
}

/** What is missing of what a program needs: names of Debian packages. */
export function missing(program: RealProgram): string[] {
  return Object.entries(program.needs).flatMap(([file, name]) => (existsSync(file) ? [] : [name]));
}

/** Runs it bare, and then probed. @param folder its own, made here @throws Error the session failed */
export function runReal(program: RealProgram, material: Material, folder: string): Outcome {
  mkdirSync(folder, { recursive: true });
  // A program may give up its privileges.
  for (const each of [dirname(folder), folder]) chmodSync(each, 0o755);
  program.prepare?.(folder);
  const script = `D=${folder}; cd $D; ${program.script(material)}`;
  const command = ["bash", "-c", script];
  let began = performance.now();
  const alone = bare(command);
  const bareSeconds = (performance.now() - began) / 1000;
  began = performance.now();
  const session = probed(scriptFor(program, folder), command, {
    options: program.maxHits === 0 ? [] : ["-D", `MAXHITS=${String(program.maxHits)}`],
    limitSeconds: 1800,
  });
  const places = session.probes.flatMap((probe) => (probe.places === undefined ? [] : [probe.places]));
  const refused: Record<string, number> = {};
  for (const each of places)
    for (const [reason, count] of Object.entries(each.refused))
      refused[reason] = (refused[reason] ?? 0) + count;
  const misfits = [
    session.ending === alone.ending ? [] : [`it ended with ${session.ending} in place of ${alone.ending}`],
    session.output.equals(alone.output)
      ? []
      : [
          `printed ${JSON.stringify(session.output.toString().slice(-300))} in place of ${JSON.stringify(alone.output.toString().slice(-300))}`,
        ],
    session.errors === alone.errors
      ? []
      : [
          `said ${JSON.stringify(session.errors.slice(-300))} in place of ${JSON.stringify(alone.errors.slice(-300))}`,
        ],
  ].flat();
  return {
    armed: places.reduce((sum, each) => sum + each.armed, 0),
    refused,
    exhausted: places.reduce((sum, each) => sum + (each.exhausted ?? 0), 0),
    hits: Number(session.printed),
    bareSeconds,
    seconds: (performance.now() - began) / 1000,
    misfit: misfits.length === 0 ? undefined : misfits.join("; "),
  };
}

function scriptFor(program: RealProgram, folder: string): string {
  const points = program.probed.flatMap((name) => {
    const path = JSON.stringify(name.startsWith("./") ? join(folder, name) : name);
    return [`process(${path}).function("*")?`, `process(${path}).library("*").function("*")?`];
  });
  return `global n probe ${points.join(", ")} { n++ } probe end { printf("%d\\n", n) }`;
}
