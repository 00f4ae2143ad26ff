import { readdirSync, readFileSync } from "node:fs";
import type { CompileOptions } from "../../script/compile.js";
import { flagFunctions, systemCallAliases } from "./system-call-aliases.js";

type Library = CompileOptions["library"];

/** What the tapset has for a kernel only; another program has no such functions. */
const KERNEL = "kernel/";

/**
 * The library of the language itself, beside the compiled sources.
 *
 * @param kernel  whether the target is a kernel: its part of the library is for no other program
 * @param asked   the script: of a kernel's hundreds of system calls, those that it names are written out
 */
export function tapset({ kernel, asked }: { readonly kernel: boolean; readonly asked: string }): Library {
  if (!kernel) return scripts("");
  const own = scripts(KERNEL);
  const library = [...scripts(""), ...own];
  const names = callsNamed([asked, ...own.map(({ text }) => text)]);
  const calls = systemCallAliases(table("system-calls"), names);
  const texts = [asked, calls, ...library.map(({ text }) => text)];
  const flags = flagFunctions(table("flags"), (name) => texts.some((text) => text.includes(name)));
  return [
    ...library,
    { name: `tapset/${KERNEL}flags.stp`, text: flags },
    { name: `tapset/${KERNEL}system-calls.stp`, text: calls },
  ];
}

/** @returns patterns of names; `*` where it takes more than a look at the text to know */
function callsNamed(texts: readonly string[]): readonly string[] {
  const names = texts.flatMap((text) =>
    [...text.matchAll(/syscall\b(?:\s*\.\s*([\w*]+))?/g)].map((match) => match[1] ?? "*"),
  );
  return [...new Set(names)];
}

function table(name: string): string {
  return readFileSync(place(`${KERNEL}${name}.table`), "utf8");
}

/** Files of macros (`.stpm`) first: a macro is known behind its definition only. */
function scripts(folder: string): Library {
  const names = readdirSync(place(folder)).sort();
  return [".stpm", ".stp"]
    .flatMap((ending) => names.filter((name) => name.endsWith(ending)))
    .map((name) => ({
      name: `tapset/${folder}${name}`,
      text: readFileSync(place(`${folder}${name}`), "utf8"),
    }));
}

function place(path: string): URL {
  // Compiled into a session's thread, this file is where that is: in the same folder.
  return new URL(`../../tapset/${path}`, import.meta.url);
}
