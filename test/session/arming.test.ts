// Which places a script's points come to, and what is said of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { instructionStarts } from "../../src/arch/x86_64/decode.js";
import type { Address } from "../../src/base/address.js";
import { ElfImage } from "../../src/symbols/elf/image.js";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";

const PERL = needs("perl");
const GCC = needs("gcc");

interface Places {
  readonly armed: number;
  readonly refused: Readonly<Record<string, number>>;
}

/** What `--json` says of the one probe on instructions of a script. */
function placesOf(script: string, command: string): Places | undefined {
  const { stdout, stderr, status } = trapline("--json", "-e", script, "-c", command);
  assert.deepEqual({ stderr, status }, { stderr: "", status: 0 });
  const events = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { kind: string; places?: Places });
  return events.find(({ kind, places }) => kind === "probe" && places !== undefined)?.places;
}

test("a function whose implementation is selected later is one place, also after a fork", PERL, () => {
  const forks = `perl -e 'wait if fork; wait if fork'`;
  // An IFUNC: its implementation is known when the dynamic linker is done.
  assert.deepEqual(placesOf('probe process("perl").library("libc.so.6").function("strlen") {}', forks), {
    armed: 1,
    refused: {},
  });
  const both = 'probe process("perl").library("libc.so.6").function("str*") {}';
  const once = placesOf(both, "perl -e 1");
  assert.ok((once?.armed ?? 0) > 20);
  assert.deepEqual(placesOf(both, forks), once);
});

test("-v sums up where probes were armed and how long the passes took, -vv says each place", PERL, () => {
  const script =
    'probe process("perl").function("Perl_pp_s*") {} probe process("perl").function("Perl_pp_join") {}';
  const [plain, verbose, more] = [[], ["-v"], ["-vv"]].map(
    (options) => trapline(...options, "-e", script, "-c", "perl -e 1").stderr,
  );
  assert.equal(plain, "");
  assert.match(
    verbose ?? "",
    /^Pass 1: parsed user script and \d+ library scripts? in [\d.]+ ms\.\nPass 2: analyzed script: 2 probes, 0 functions, 0 globals in [\d.]+ ms\.\nPasses 3 and 4: .* 2 handlers in [\d.]+ ms\.\nPass 5: starting run\.\n/,
  );
  assert.match(verbose ?? "", /^probe process\("perl"\)\.function\("Perl_pp_s\*"\): armed at \d\d places$/m);
  assert.match(verbose ?? "", /^probe process\("perl"\)\.function\("Perl_pp_join"\): armed at 1 place$/m);
  assert.match(verbose ?? "", /^Pass 5: run completed in \d+ ms\.\n$/m);
  assert.doesNotMatch(verbose ?? "", /armed at 0x/);
  const places = [...(more ?? "").matchAll(/: armed at (0x[0-9a-f]+) \((\w+) of \/.*\)$/gm)];
  assert.equal(new Set(places.map(([, address]) => address)).size, places.length);
  const [sum] = /\d+(?= places$)/m.exec(verbose ?? "") ?? [];
  assert.equal(places.length, Number(sum) + 1);
  assert.ok(places.some(([, , name]) => name === "Perl_pp_join"));
});

/** Addresses of a file: in the middle of an instruction of a function, and where data is. */
function wrongPlaces(path: string, functionName: string): { readonly inside: string; readonly data: string } {
  using image = ElfImage.open(path);
  const [found] = image.functions(functionName);
  assert.ok(found !== undefined);
  const body = image.bytesAt(found.vaddr, found.end - found.vaddr);
  const { starts } = instructionStarts(body, found.vaddr as number as Address);
  const long = starts.find((start, index) => (starts[index + 1] ?? start) - start > 1);
  const data = image.sections.find(({ name }) => name === ".rodata");
  assert.ok(long !== undefined && data !== undefined);
  return { inside: `0x${(long + 1).toString(16)}`, data: `0x${(data.vaddr + 8).toString(16)}` };
}

/** The path that a program has a library mapped at. */
function libraryOf(pattern: string): string {
  const { stdout } = trapline("-l", `process("perl").library("${pattern}").function("malloc")`);
  return /library\("([^"]*)"\)/.exec(stdout)?.[1] ?? "";
}

test("a statement that is no instruction's beginning is an error, in a program and in a library", GCC, () => {
  const program = target("faulty");
  const library = libraryOf("libc.so.6");
  for (const [point, path, name] of [
    [`process("${program}")`, program, "main"],
    [`process("${program}").library("libc.so.6")`, library, "malloc"],
  ] as const) {
    const { inside, data } = wrongPlaces(path, name);
    for (const [place, reason] of [
      [inside, /is inside the instruction at 0x/],
      [data, /no instructions are at 0x/],
    ] as const) {
      const script = (mark: string): string =>
        `probe ${point}.statement(${place})${mark} { println("hit") } probe end { println("end") }`;
      const refused = trapline("-e", script(""), "-c", program);
      assert.match(refused.stderr, /semantic error: while resolving probe point: cannot probe 0x/);
      assert.match(refused.stderr, reason);
      assert.deepEqual([refused.status, refused.stdout], [1, ""]);
      const optional = trapline("-e", script("?"), "-c", program);
      assert.deepEqual([optional.status, optional.stderr], [0, ""]);
      assert.match(optional.stdout, /^end$/m);
    }
  }
});

test("a named place of a library that is loaded later is warned of where it cannot be armed", PERL, () => {
  const found = trapline(
    "-e",
    'probe process("perl").library("POSIX.so").function("boot_POSIX") {}',
    "-vv",
    "-c",
    "perl -MPOSIX -e 1",
  ).stderr;
  const library = /\(boot_POSIX of (\/.*)\)$/m.exec(found)?.[1];
  assert.ok(library !== undefined, found);
  const { inside } = wrongPlaces(library, "boot_POSIX");
  const script = (mark: string): string =>
    `probe process("perl").library("POSIX.so").statement(${inside})${mark} { println("hit") }`;
  const warned = trapline("-e", script(""), "-c", "perl -MPOSIX -e 1");
  assert.match(
    warned.stderr,
    /^WARNING: probe process\("perl"\)\.library\("POSIX\.so"\)\.statement\(0x[0-9a-f]+\) at <input>:1:7: cannot probe 0x[0-9a-f]+: 0x[0-9a-f]+ of .*POSIX\.so is inside the instruction at 0x[0-9a-f]+\n$/,
  );
  assert.equal(warned.status, 0);
  assert.equal(trapline("-e", script("?"), "-c", "perl -MPOSIX -e 1").stderr, "");
  assert.equal(trapline("-w", "-e", script(""), "-c", "perl -MPOSIX -e 1").stderr, "");
});

test(
  "an IFUNC of a library that is loaded later is armed before its first call, however it is called",
  GCC,
  () => {
    const library = target("indirect_library", "-shared", "-fPIC");
    const program = target("indirect");
    const bare = run(program, library);
    assert.equal(bare.stdout, "total 48\n");
    // Once while the library is initialized and four times by its own calls; five times by a looked-up pointer.
    const outcome = trapline(
      "-e",
      `global calls, sum
     probe process.library("indirect_library").function("early"), process.library("indirect_library").function("late") {
       calls[probefunc(), int_arg(1)]++
     }
     probe process.library("indirect_library").function("l?te") { calls["pattern", 0]++ }
     probe process.library("indirect_library").function("early").return { calls["returned", returnval()]++ }
     probe end { foreach ([name+, number] in calls) sum[name] += calls[name, number]; foreach (name+ in sum) printf("%s: %d, ", name, sum[name]) println() }`,
      "-c",
      `${program} ${library}`,
    );
    assert.equal(outcome.stderr, "");
    assert.equal(printed(outcome, bare), "pattern: 5, returned: 5, thrice: 5, twice_otherwise: 5, \n");
  },
);

test("a point that nothing of the target ever matched is warned of at the end", PERL, () => {
  const script = (mark: string): string =>
    `probe process("perl").library("nosuch*.so").function("*")${mark} {} probe process("bash").function("main")? {}`;
  const outcome = trapline("-e", script(""), "-c", "perl -e 1");
  assert.equal(
    outcome.stderr,
    'WARNING: probe process("perl").library("nosuch*.so").function("*") at <input>:1:7: nothing of the target was what it names\n',
  );
  assert.equal(outcome.status, 0);
  assert.equal(trapline("-e", script("?"), "-c", "perl -e 1").stderr, "");
});
