// A machine for the tests of a kernel: booted once a file, with one session after the other on it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { KernelImage } from "../../src/symbols/kernel/image.js";
import type { LabMachine } from "../../src/targets/lab/machine.js";

const CLI = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

/** What a session and the guest's command said. */
export interface Session {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
  /** The status is -1 where the machine ended under the command. */
  readonly guest: { readonly output: string; readonly status: number };
}

/** Said on standard error once all is armed and the machine runs: the guest's command may begin. */
const ARMED = "the machine runs, all is armed";
const PATIENCE = 120_000;

/**
 * Runs a script on a machine that is up, by the command line that is shipped, while the guest runs a
 * command. The session ends with the command, as by Ctrl-C.
 */
export async function session(
  machine: Pick<LabMachine, "stub" | "kernel" | "load">,
  script: string,
  command: string,
  ...options: readonly string[]
): Promise<Session> {
  const [output, told]: [Uint8Array[], string[]] = [[], []];
  const loaded = await machine.load(command, {
    output: (bytes) => output.push(bytes),
    error: (bytes) => output.push(bytes),
  });
  const text = `${script}\nglobal __armed\nprobe timer.ms(20) { if (!__armed++) log("${ARMED}") }`;
  const words = ["--gdb", `unix:${machine.stub}`, "--kernel", machine.kernel, "-e", text, ...options];
  const child = spawn(process.execPath, [CLI, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
  const ended = once(child, "close");
  let stdout = "";
  child.stdout.on("data", (bytes: Buffer) => (stdout += bytes.toString("latin1")));
  const armed = new Promise<void>((resolve) => {
    let all = "";
    child.stderr.on("data", (bytes: Buffer) => {
      told.push(bytes.toString("latin1"));
      all += bytes.toString("latin1");
      if (all.includes(ARMED)) resolve();
    });
  });
  await Promise.race([armed, ended]);
  loaded.start();
  // The machine may end before.
  const status = await loaded.ended.catch(() => -1);
  if (status >= 0) child.kill("SIGINT");
  await ended;
  clearTimeout(timer);
  return {
    stdout,
    stderr: told.join("").replace(`${ARMED}\n`, ""),
    status: child.exitCode,
    guest: { output: Buffer.concat(output).toString("latin1"), status },
  };
}

/** A command, and beside it one that keeps a processor busy and enters the kernel all the time. */
export function besideLoad(command: string): string {
  return `(while :; do read -r line </proc/loadavg; done) & busy=$!; ${command}; status=$?; kill $busy; exit $status`;
}

/** Instructions of a kernel that are known to fault on user memory: what writes zeros there, and what copies to it. */
export interface FaultingPlaces {
  /** `rep stosb`, as `kernel.statement` has it. */
  readonly clears: string;
  /** `rep movsb`. */
  readonly copies: string;
}

const REP_STOSB = [0xf3, 0xaa];
const REP_MOVSB = [0xf3, 0xa4];
/** By release: up to Linux 6.2, and since. */
const CLEARING = ["clear_user_erms", "rep_stos_alternative"];
const COPYING = ["copy_user_enhanced_fast_string", "rep_movs_alternative"];

/** @throws Error the kernel has none of the functions that are known */
export function faultingPlaces(kernel: string): FaultingPlaces {
  using image = KernelImage.open(kernel);
  return { clears: placeOf(image, CLEARING, REP_STOSB), copies: placeOf(image, COPYING, REP_MOVSB) };
}

function placeOf(image: KernelImage, names: readonly string[], wanted: readonly number[]): string {
  for (const name of names) {
    const [found] = image.functions(name);
    if (found === undefined) continue;
    const bytes = Buffer.from(image.bytesAt(found.vaddr, found.size));
    const at = bytes.indexOf(Buffer.from(wanted));
    if (at >= 0) return `${name}+0x${at.toString(16)}`;
  }
  throw new Error(`${image.path} has none of ${names.join(", ")} with that instruction`);
}
