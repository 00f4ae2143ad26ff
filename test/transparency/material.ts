import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What programs are given to work on; the same each time. */
export interface Material {
  /** Lines of text, unsorted. */
  readonly lines: string;
  /** A tree of folders and files. */
  readonly tree: string;
  /** A shell script: pipes, functions, subshells, traps. */
  readonly pipes: string;
  /** A program in perl. */
  readonly words: string;
}

/** @param count of lines */
export function makeMaterial(folder: string, count: number): Material {
  const material = {
    lines: join(folder, "lines"),
    tree: join(folder, "tree"),
    pipes: join(folder, "pipes.sh"),
    words: join(folder, "words.pl"),
  };
  const lines = Array.from({ length: count }, (_, index) => `${String((index * 7919) % 100_003)} line\n`);
  writeFileSync(material.lines, lines.join(""));
  for (let branch = 0; branch < 40; branch++) {
    const at = join(material.tree, `branch-${String(branch)}`);
    mkdirSync(at, { recursive: true });
    for (let leaf = 0; leaf < 20; leaf++)
      writeFileSync(join(at, `leaf-${String(leaf)}`), lines.slice(0, leaf * 3).join(""));
  }
  writeFileSync(
    material.pipes,
    `set -e
for i in 1 2 3 4 5; do echo "$i $((i * i))" | cat | tr 0-9 a-j; done
f() { local n=$1; [ "$n" -le 0 ] || { printf '%s,' "$n"; f $((n - 1)); }; }
f 50; echo
grep -c 7 ${material.lines} | sed s/^/lines:/
(exit 3) || echo "status $?"
trap 'echo trapped' USR1; kill -USR1 $$
exit 7
`,
  );
  writeFileSync(
    material.words,
    `my %n; $n{$_ % 97} .= chr(65 + $_ % 26) for 1 .. 5000;
print join(" ", map { "$_=" . length $n{$_} } sort keys %n), "\\n";
print scalar(reverse join ",", sort { $b <=> $a } map { $_ ** 2 % 1009 } 1 .. 500), "\\n";
printf "%s %d\\n", (-e "/" ? "there" : "not there"), eval { die { code => 5 } } || $@->{code}; exit 4;
`,
  );
  return material;
}
