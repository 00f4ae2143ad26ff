import { closeSync, existsSync, openSync, readFileSync, readSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { build, run } from "../symbols/build-programs.js";
import type { Original } from "./reader.js";

/** Programs and libraries that most machines have; those that are not there are not missed. */
const INSTALLED = [
  "/usr/bin/true",
  "/usr/bin/cat",
  "/usr/bin/ls",
  "/usr/bin/dash",
  "/usr/bin/env",
  "/usr/bin/find",
  "/lib64/ld-linux-x86-64.so.2",
  "/lib/x86_64-linux-gnu/libm.so.6",
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/x86_64-linux-gnu/libz.so.1",
];
const LARGEST = 3 << 20;

const SOURCE = `
  #include <stdio.h>
  typedef int fn(int);
  static __attribute__((noinline)) int quick(int x) { return x + 1; }
  static fn *select_it(void) { return quick; }
  int chosen(int x) __attribute__((ifunc("select_it")));
  int main(int argc, char **argv) { puts(argv[0]); return chosen(argc); }
  __asm__(".pushsection __rseq_cs, \\"aw\\"; .balign 32; .long 0, 0; .quad main, 4, chosen; .popsection");
  __asm__(".pushsection __rseq_cs_ptr_array, \\"aw\\"; .quad main; .popsection");
`;
const LIBRARY = `#include <string.h>\nint one(const char *x) { return (int)strlen(x); }\nint two(void) { return one("2"); }`;

/** Files of every kind that a reader of ELF meets: installed ones, and those that a compiler makes where there is one. */
export function elfFiles(folder: string, hasCompiler: boolean): Original[] {
  const installed = INSTALLED.filter((path) => existsSync(path) && statSync(path).size <= LARGEST).map(
    fromFile,
  );
  const own = hasCompiler ? compiled(folder) : [];
  const [model] = [...own, ...installed];
  const others =
    model === undefined ? [] : [withByte(model, "32-bit", 4, 1), withByte(model, "big-endian", 5, 2)];
  const nothings = [
    { name: "empty", bytes: Buffer.alloc(0) },
    { name: "a script", bytes: Buffer.from("#!/bin/sh\nexit 0\n") },
    { name: "magic only", bytes: Buffer.from("\x7fELF") },
  ];
  // The small ones are the ones that a change hits where it matters: they come twice.
  return [...own, ...own, ...installed, ...others, ...nothings, ...vdso()];
}

function compiled(folder: string): Original[] {
  const whole = build(folder, "whole", SOURCE, "-rdynamic");
  const stripped = build(folder, "stripped", SOURCE, "-rdynamic", "-s");
  run("objcopy", `--add-gnu-debuglink=${whole}`, stripped);
  return [
    whole,
    stripped,
    build(folder, "fixed", SOURCE, "-no-pie"),
    build(folder, "static", "int main(void) { return 0; }", "-static", "-nostartfiles", "-Wl,-e,main"),
    build(
      folder,
      "library.so",
      LIBRARY,
      "-shared",
      "-fPIC",
      "-Wl,--hash-style=both",
      "-Wl,-soname,library.so.1",
    ),
    build(folder, "sysv.so", LIBRARY, "-shared", "-fPIC", "-Wl,--hash-style=sysv"),
    build(folder, "object.o", LIBRARY, "-c"),
    build(folder, "compressed", SOURCE, "-g", "-gz"),
  ].map(fromFile);
}

/** The largest program that is sure to be here: this one's own. */
export function largeFiles(): Original[] {
  return [fromFile(realpathSync(process.execPath))];
}

function fromFile(path: string): Original {
  return { name: path, bytes: readFileSync(path) };
}

function withByte(model: Original, name: string, at: number, byte: number): Original {
  const bytes = Buffer.from(model.bytes);
  bytes[at] = byte;
  return { name, bytes };
}

/** The image that the kernel maps into every process, read from our own memory. */
function vdso(): Original[] {
  const line = /^([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$/m.exec(readFileSync("/proc/self/maps", "latin1"));
  if (line === null) return [];
  const start = BigInt(`0x${line[1] ?? ""}`);
  const bytes = Buffer.alloc(Number(BigInt(`0x${line[2] ?? ""}`) - start));
  const memory = openSync("/proc/self/mem", "r");
  readSync(memory, bytes, 0, bytes.length, start);
  closeSync(memory);
  return [{ name: "[vdso]", bytes }];
}

/** The linker's own list of libraries. */
export function linkerCaches(): Original[] {
  const path = join("/etc", "ld.so.cache");
  return existsSync(path) ? [fromFile(path)] : [];
}
