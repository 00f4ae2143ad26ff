import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "./programs.js";

/**
 * From starting Trapline to the first instruction of the program's main, with its probes armed.
 *
 * @returns milliseconds
 * @throws Error the session failed, or did not arm that many probes
 */
export function startToArmed(program: string, pattern: string, probes: number): number {
  const point = `process("${program}").function("${pattern}")`;
  const before = Date.now();
  const args = ["dist/cli/main.js", "-w", "-e", `global n probe ${point} { n++ }`, "-c", `${program} start`];
  const done = spawnSync(
    process.execPath,
    args.map((each, index) => (index === 0 ? join(ROOT, each) : each)),
    {
      encoding: "utf8",
      timeout: 60_000,
    },
  );
  const at = /^\d{16}$/m.exec(done.stdout)?.[0];
  if (at === undefined) throw new Error(`the session failed: ${done.stdout}${done.stderr}`);
  const listed = spawnSync(process.execPath, [join(ROOT, "dist/cli/main.js"), "-l", point], {
    encoding: "utf8",
  });
  const count = listed.stdout.trim().split("\n").length;
  if (count !== probes) throw new Error(`${String(probes)} probes wanted, ${String(count)} there`);
  return Number(at) / 1000 - before;
}
