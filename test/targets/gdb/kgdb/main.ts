// `npm run kgdb`: builds a small kernel with KGDB from Debian's linux-source (once; it is kept), boots it in QEMU
// with KGDB on a serial line, and has the sessions of sessions.ts with it, by the command line that is shipped.
// Status 1 where one does not come out as expected, or where the kernel does not run on behind it.
//
//   --record=FOLDER   writes down each conversation that comes out as expected, and what of the kernel is needed to
//                     have it again, for replay.test.ts
//   --kernel=IMAGE    another kernel with KGDB, instead of building one
//   --only=NAME       one session
//   --smp=N           processors; 1 unless told
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { TraplineError } from "../../../../src/base/errors.js";
import { KernelImage } from "../../../../src/symbols/kernel/image.js";
import { bootLab, type LabMachine } from "../../../../src/targets/lab/machine.js";
import { kgdbKernel } from "./kernel-build.js";
import { formatRecording, type Outcome } from "./recording.js";
import { reducedImage } from "./reduced-image.js";
import { Relay } from "./relay.js";
import { startSession, wordsOf } from "./run-session.js";
import { type KgdbSession, problems, SESSIONS, WORK } from "./sessions.js";

const { values } = parseArgs({
  options: {
    record: { type: "string" },
    kernel: { type: "string" },
    only: { type: "string" },
    smp: { type: "string", default: "1" },
  },
});

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** How long the guest may take to say that it lives; milliseconds. */
const ALIVE_WITHIN = 30_000;
const STANDS = "the kernel does not run on behind it";

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof TraplineError)) throw error;
  process.stderr.write(`${error.message}${error.remedy === undefined ? "" : `\n${error.remedy}`}\n`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const sessions = SESSIONS.filter(({ name }) => values.only === undefined || name === values.only);
  if (sessions.length === 0) {
    say(`there is no session ${values.only ?? ""}: ${SESSIONS.map(({ name }) => name).join(", ")}`);
    return 2;
  }
  const kernel = values.kernel === undefined ? await kgdbKernel(say) : resolve(values.kernel);
  const banner = bannerOf(kernel);
  say(banner);
  const folder = mkdtempSync(join(tmpdir(), "trapline-kgdb-"));
  try {
    await using machine = await bootLab({
      kernel,
      kgdb: true,
      smp: Number(values.smp),
      files: new Map([[WORK.file, { bytes: Buffer.from(WORK.text) }]]),
    });
    await using relay = await Relay.open(join(folder, "line"), machine.stub, async () => machine.sendBreak());
    await machine.run(WORK.command);
    say(`booted in QEMU, ${values.smp} processor(s), ${await said(machine, "cat /proc/cmdline")}`);
    const wrong: string[] = [];
    for (const session of sessions) {
      const found = await hold(session, machine, relay, kernel, banner);
      if (found.length > 0) wrong.push(session.name);
      // What comes behind a kernel that stands would tell nothing.
      if (machine.gone !== undefined || found.includes(STANDS)) break;
    }
    const well = sessions.length - wrong.length;
    if (values.record !== undefined) writeFileSync(join(values.record, "kernel.br"), reducedImage(kernel));
    say(`\n${String(well)} of ${String(sessions.length)} sessions as expected`);
    return wrong.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Has a session, and tells it. @returns what was not as expected */
async function hold(
  session: KgdbSession,
  machine: LabMachine,
  relay: Relay,
  kernel: string,
  banner: string,
): Promise<readonly string[]> {
  relay.take();
  say(`\n${session.name}: ${session.shows}`);
  say(`$ trapline ${wordsOf(session, "LINE", "IMAGE").slice(0, -1).join(" ")} '${session.script}'`);
  const began = performance.now();
  const running = startSession(session, relay.path, kernel, (lines) => {
    if (lines !== session.interruptedAfter) return;
    relay.signalled();
    running.interrupt();
  });
  const outcome = await running.ended;
  const seconds = (performance.now() - began) / 1000;
  const conversation = relay.take();
  say(shown(outcome));
  const found = [...problems(session, outcome)];
  if (!(await lives(machine))) found.push(STANDS);
  const packets = conversation.filter(({ kind }) => kind === "client").length;
  const figures = `${seconds.toFixed(1)} s, ${String(packets)} packets`;
  say(found.length === 0 ? `as expected (${figures})` : `NOT AS EXPECTED: ${found.join("; ")} (${figures})`);
  if (values.record !== undefined && found.length === 0)
    writeFileSync(
      join(values.record, `${session.name}.txt`),
      formatRecording({ banner, outcome, conversation }),
    );
  return found;
}

function shown({ stdout, stderr, status }: Outcome): string {
  const ending = status === 0 ? "" : `(exit status ${String(status)})\n`;
  return `${stdout}${stderr}${ending}`.trimEnd().replace(/^/gm, "  ");
}

async function lives(machine: LabMachine): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => {
      resolve("");
    }, ALIVE_WITHIN);
  });
  const answer = await Promise.race([said(machine, "echo lives").catch(() => ""), late]);
  clearTimeout(timer);
  return answer === "lives";
}

async function said(machine: LabMachine, command: string): Promise<string> {
  return (await machine.run(command)).output.trim();
}

function bannerOf(path: string): string {
  using image = KernelImage.open(path);
  return image.banner;
}
