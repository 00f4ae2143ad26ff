// Those who are compared: each runs the program once and says what a call of f() took under it.
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ROOT } from "./programs.js";

const PATIENCE_MS = 60_000;

/** What one run showed; a reason where it showed nothing. */
export type Shown = { readonly perCall: number } | { readonly notMeasured: string };

export interface Work {
  readonly program: string;
  readonly calls: number;
  readonly threads: number;
}

export function bare(work: Work): Shown {
  return run([work.program, ...argumentsOf(work)]);
}

/** @param body what the script consists of, `@F` standing for the point; it must print its count last */
export function script(body: string): (work: Work) => Shown {
  return (work) => {
    const text = body.replaceAll("@F", `process("${work.program}").function("f")`);
    const command = [work.program, ...argumentsOf(work)].join(" ");
    return run(
      [process.execPath, join(ROOT, "dist/cli/main.js"), "-w", "-e", text, "-c", command],
      work.calls,
    );
  };
}

export function typescript(work: Work): Shown {
  const handler = join(ROOT, "build/bench/typescript-handler.js");
  return run([process.execPath, handler, work.program, ...argumentsOf(work)], work.calls);
}

export function gdb(work: Work): Shown {
  const commands = `${work.program}.gdb`;
  writeFileSync(
    commands,
    "set confirm off\nset debuginfod enabled off\nset $hits = 0\nbreak f\n" +
      'commands\nsilent\nset $hits = $hits + 1\ncontinue\nend\nrun\nprintf "%d\\n", $hits\n',
  );
  return run(
    ["gdb", "-q", "-nx", "-batch", "-x", commands, "--args", work.program, ...argumentsOf(work)],
    work.calls,
  );
}

export function ltrace(work: Work): Shown {
  return run(["ltrace", "-L", "-x", "f", "-o", `${work.program}.ltrace`, work.program, ...argumentsOf(work)]);
}

export function bpftrace(work: Work): Shown {
  const text = `uprobe:${work.program}:f { @n = count(); }`;
  return run(
    ["bpftrace", "-q", "-e", text, "-c", [work.program, ...argumentsOf(work)].join(" ")],
    work.calls,
  );
}

function argumentsOf({ calls, threads }: Work): string[] {
  return ["hits", String(calls), String(threads)];
}

/** Runs a tracer; the program's own figure is the line with a decimal point. */
function run(command: readonly string[], wanted?: number): Shown {
  const [tool = "", ...args] = command;
  if (!isInstalled(tool)) return { notMeasured: "not installed" };
  const done = spawnSync(tool, args, { encoding: "utf8", timeout: PATIENCE_MS, cwd: ROOT });
  if (done.error !== undefined) return { notMeasured: done.error.message };
  const output = `${done.stdout}\n${done.stderr}`;
  const perCall = /^(\d+\.\d)$/m.exec(done.stdout)?.[1];
  if (perCall === undefined) return { notMeasured: `it failed: ${lastLine(output)}` };
  if (wanted !== undefined && !new RegExp(`\\b${String(wanted)}\\b`).test(output)) {
    return { notMeasured: `it did not count ${String(wanted)} hits: ${lastLine(output)}` };
  }
  return { perCall: Number(perCall) };
}

function isInstalled(tool: string): boolean {
  if (existsSync(tool)) return true;
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, tool)));
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
