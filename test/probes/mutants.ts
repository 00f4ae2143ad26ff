import { spawn } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";
import type { Mutation } from "./mutation.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MUTANTS = join(ROOT, "build/mutants");

/** A run of the model that takes longer hangs. */
const PATIENCE = 60_000;

/** What the model made of a mutant. */
export type Verdict =
  | { readonly kind: "found"; readonly promise: string }
  | { readonly kind: "not found" }
  | { readonly kind: "broken"; readonly why: string };

/** Removes what mutants an earlier run may have left. */
export async function removeMutants(): Promise<void> {
  await rm(MUTANTS, { recursive: true, force: true });
}

/**
 * A copy of the probe core and of its model with one bug in it. What the core stands on is shared with the build.
 *
 * @param mutation undefined: without any bug
 * @returns the copy's folder
 * @throws Error where the list of mutations no longer fits the sources
 */
export async function makeMutant(name: string, mutation: Mutation | undefined): Promise<string> {
  const folder = join(MUTANTS, name);
  await mkdir(join(folder, "src/probes"), { recursive: true });
  for (const room of ["base", "arch", "targets", "symbols"])
    await symlink(join(ROOT, "build/src", room), join(folder, "src", room));
  await cp(join(ROOT, "build/test/probes"), join(folder, "test/probes"), { recursive: true });
  for (const file of await readdir(join(ROOT, "src/probes"))) {
    const source = await readFile(join(ROOT, "src/probes", file), "utf8");
    const text = mutation?.file === file ? plant(mutation, source) : source;
    await writeFile(join(folder, "src/probes", file.replace(/\.ts$/, ".js")), compile(text, file));
  }
  return folder;
}

/**
 * Runs the model against mutants, one after the other in a process of its own, which must not hang.
 *
 * @param told of each mutant by its position
 */
export async function judge(
  folders: readonly string[],
  runs: number,
  told: (index: number, verdict: Verdict) => void,
): Promise<void> {
  for (let done = 0; done < folders.length;) {
    const models = folders
      .slice(done)
      .map((each) => pathToFileURL(join(each, "test/probes/check-model.js")).href);
    const script = `
      for (const model of ${JSON.stringify(models)}) {
        const { findBrokenPromise } = await import(model);
        process.send({ promise: findBrokenPromise(${String(runs)}, false) });
      }
      process.disconnect();`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
    let errors = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
    child.on("message", ({ promise }: { promise?: string }) => {
      clearTimeout(timer);
      timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
      told(done++, promise === undefined ? { kind: "not found" } : { kind: "found", promise });
    });
    const [status, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (...how) => {
        resolve(how);
      });
    });
    clearTimeout(timer);
    if (signal !== null) told(done++, { kind: "broken", why: `the model's run did not end (${signal})` });
    else if (status !== 0) told(done++, { kind: "broken", why: errors });
  }
}

function plant(mutation: Mutation, source: string): string {
  const pieces = source.split(mutation.find);
  if (pieces.length !== 2) {
    throw new Error(
      `the mutation "${mutation.bug}" is stale: its text occurs ${String(pieces.length - 1)} times in ` +
        `src/probes/${mutation.file}; bring it up to date in test/probes/mutations.ts`,
    );
  }
  return pieces.join(mutation.replace);
}

/** What was compiled already: a mutant differs from the next in one file. */
const compiled = new Map<string, string>();

function compile(text: string, fileName: string): string {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  const { outputText, diagnostics } = ts.transpileModule(text, {
    fileName,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    },
  });
  const [wrong] = diagnostics ?? [];
  if (wrong !== undefined)
    throw new Error(`${fileName} of a mutant: ${ts.flattenDiagnosticMessageText(wrong.messageText, "\n")}`);
  compiled.set(text, outputText);
  return outputText;
}
