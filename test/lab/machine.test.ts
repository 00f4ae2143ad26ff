// A machine boots, runs commands, says how it ended, and is gone when its maker is, by whatever.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { TargetError } from "../../src/base/errors.js";
import { packagedKernel } from "../../src/targets/lab/kernel-package.js";
import { bootLab } from "../../src/targets/lab/machine.js";
import { NEEDS_LAB, bootedLab } from "../support/lab.js";

const folder = mkdtempSync(join(tmpdir(), "trapline-lab-test-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Where the linker puts a kernel's text. arch/x86: CONFIG_PHYSICAL_START, __START_KERNEL_map. */
const LINKED_TEXT = "ffffffff81000000";
const TEXT_ADDRESS = "grep ' _text$' /proc/kallsyms | cut -d' ' -f1";
const PATIENCE = 30_000;

test(
  "a command's output, its messages and its exit status arrive apart, byte for byte",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab();
    assert.deepEqual(await machine.run("echo one; echo two >&2; printf 'a\\0\\377\\r\\nb'; exit 7"), {
      output: "one\na\0\ufffd\r\nb",
      error: "two\n",
      status: 7,
    });
    assert.deepEqual(await machine.run("kill -TERM $$"), { output: "", error: "", status: 143 });
    const long = await machine.run("seq 1 20000; echo 'it'\"'\"'s $HOME %s \\n' >&2");
    assert.equal(
      long.output,
      Array.from({ length: 20_000 }, (_, index) => `${String(index + 1)}\n`).join(""),
    );
    assert.equal(long.error, "it's $HOME %s \\n\n");
  },
);

test(
  "commands one close behind the other are all taken, also while what served the last one ends",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab();
    for (let count = 0; count < 20; count++) {
      const word = `${String(count)} ${"x".repeat(400)}`;
      assert.deepEqual(await machine.run(`echo ${word}`), { output: `${word}\n`, error: "", status: 0 });
    }
  },
);

test("a command waits before its exec until it is let go, and its process is told", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  const output: Uint8Array[] = [];
  const command = await machine.load("echo $$; cut -d' ' -f1 /proc/uptime", {
    output: (bytes) => output.push(bytes),
    error: () => undefined,
  });
  await setTimeout(1000);
  assert.equal(output.length, 0);
  command.start();
  assert.equal(await command.ended, 0);
  assert.equal(Buffer.concat(output).toString().split("\n")[0], String(command.pid));
});

test("a program that a command leaves behind holds nobody up", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  assert.deepEqual(await machine.run("sleep 1000 & echo begun"), { output: "begun\n", error: "", status: 0 });
  assert.deepEqual(await machine.run("echo next"), { output: "next\n", error: "", status: 0 });
});

test("the output is a terminal where one is wanted, else a pipe", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  const ask = "[ -t 1 ] && [ -t 2 ] && echo terminal || echo pipe";
  assert.equal((await machine.run(ask)).output, "pipe\n");
  const output: Uint8Array[] = [];
  const command = await machine.load(
    ask,
    { output: (bytes) => output.push(bytes), error: () => undefined },
    true,
  );
  command.start();
  assert.equal(await command.ended, 0);
  assert.equal(Buffer.concat(output).toString(), "terminal\n");
});

test("without KASLR the kernel is where the linker put it; with it, elsewhere", NEEDS_LAB, async () => {
  await using fixed = await bootedLab();
  assert.equal((await fixed.run(TEXT_ADDRESS)).output.trim(), LINKED_TEXT);
  await fixed.end();
  await using moved = await bootedLab({ kaslr: true });
  const address = (await moved.run(TEXT_ADDRESS)).output.trim();
  assert.match(address, /^ffffffff[89ab][0-9a-f]{7}$/);
  // One of some five hundred places: that it is the linker's own happens once in as many runs.
  if (address === LINKED_TEXT) assert.match((await moved.run("cat /proc/cmdline")).output, /^(?!.*nokaslr)/);
});

test("two processors, modules with what they depend on, files", NEEDS_LAB, async () => {
  const files = new Map([
    ["/opt/greeting/hello", { bytes: Buffer.from("#!/bin/sh\necho hello\n"), mode: 0o755 }],
  ]);
  await using machine = await bootedLab({ smp: 2, modules: ["xfs"], files });
  assert.equal((await machine.run("grep -c ^processor /proc/cpuinfo")).output, "2\n");
  assert.match((await machine.run("cat /proc/modules")).output, /^xfs (?:.*\n)+libcrc32c .* xfs,/);
  assert.equal((await machine.run("/opt/greeting/hello")).output, "hello\n");
});

test("the stub answers, and the machine stands while it is spoken to", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  const socket = createConnection(machine.stub);
  await once(socket, "connect");
  socket.write("$?#3f");
  const answer: Buffer[] = [];
  for (const end = Date.now() + PATIENCE; !Buffer.concat(answer).includes("+$T05") && Date.now() < end;)
    answer.push((await once(socket, "data", { signal: AbortSignal.timeout(PATIENCE) }))[0] as Buffer);
  // By itself it says that the machine stops, and then it answers.
  assert.match(Buffer.concat(answer).toString(), /\$T0[0-9a-f]thread:/);
  socket.destroy();
});

test("a panic, a restart and a power-off of the guest are told as such", NEEDS_LAB, async () => {
  const endings = {
    "echo c >/proc/sysrq-trigger": /^the guest's kernel panicked: sysrq triggered crash$/,
    "reboot -f": /^the guest restarted the machine; its console said /,
    "poweroff -f": /^the guest powered the machine off; its console said /,
  };
  for (const [command, sentence] of Object.entries(endings)) {
    await using machine = await bootedLab();
    await assert.rejects(
      machine.run(command),
      (error) => error instanceof TargetError && sentence.test(error.message),
    );
  }
});

test("QEMU's own complaint is shown", NEEDS_LAB, async () => {
  await assert.rejects(
    bootedLab({ smp: 100_000 }),
    (error) => error instanceof TargetError && /^QEMU ended: .*CPUs/.test(error.message),
  );
});

/** A process that boots a machine and does nothing more; it prints QEMU's process id. */
async function bootingProcess(environment: NodeJS.ProcessEnv = process.env): Promise<{
  readonly kill: (signal: NodeJS.Signals) => Promise<void>;
  readonly qemu: number;
}> {
  const url = new URL("../../src/targets/lab/machine.js", import.meta.url).href;
  const program = `const { bootLab } = await import(${JSON.stringify(url)});
    const machine = await bootLab({ append: "nokaslr" });
    console.log(machine.pid);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: environment,
  });
  const [text] = (await once(child.stdout, "data", { signal: AbortSignal.timeout(4 * PATIENCE) })) as [
    Buffer,
  ];
  const exited = once(child, "exit");
  return {
    qemu: Number(text.toString()),
    kill: async (signal) => {
      child.kill(signal);
      await exited;
    },
  };
}

async function untilGone(pid: number): Promise<void> {
  for (const end = Date.now() + PATIENCE; existsSync(`/proc/${String(pid)}/exe`);) {
    assert.ok(Date.now() < end, `process ${String(pid)} still lives`);
    await setTimeout(20);
  }
}

test(
  "whoever is killed leaves no machine; what is left of its folder goes with the next boot",
  NEEDS_LAB,
  async () => {
    const temporary = mkdtempSync(join(folder, "killed-"));
    const environment = { ...process.env, TMPDIR: temporary };
    const first = await bootingProcess(environment);
    const machines = (): string[] =>
      readdirSync(temporary).filter((name) => name.startsWith("trapline-lab-"));
    assert.equal(machines().length, 1);
    assert.match(readFileSync(`/proc/${String(first.qemu)}/cmdline`, "latin1"), /qemu-system-x86_64/);
    await first.kill("SIGKILL");
    await untilGone(first.qemu);
    const [left] = machines();
    const second = await bootingProcess(environment);
    assert.equal(machines().length, 1);
    assert.notEqual(machines()[0], left);
    await second.kill("SIGTERM");
    await untilGone(second.qemu);
  },
);

test("without QEMU, or without busybox, what to install is said", async () => {
  const programs = mkdtempSync(join(folder, "path-"));
  const image = join(folder, "bzImage");
  writeFileSync(image, smallImage());
  const path = process.env["PATH"];
  const refusal = async (): Promise<unknown> => bootLab({ kernel: image }).catch((error: unknown) => error);
  try {
    process.env["PATH"] = programs;
    const noQemu = await refusal();
    assert.ok(noQemu instanceof TargetError);
    assert.match(noQemu.message, /^the lab needs qemu-system-x86_64, which boots the kernel/);
    assert.match(noQemu.remedy ?? "", /^apt-get install qemu-system-x86/);
    writeFileSync(join(programs, "qemu-system-x86_64"), "#!/bin/false\n", { mode: 0o755 });
    const noBusybox = await refusal();
    assert.ok(noBusybox instanceof TargetError);
    assert.match(noBusybox.remedy ?? "", /^apt-get install busybox-static/);
  } finally {
    process.env["PATH"] = path;
  }
});

/** The least that is taken for a bzImage. */
function smallImage(): Buffer {
  const image = Buffer.alloc(4096);
  image[0x1f1] = 1;
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write("HdrS", 0x202, "latin1");
  return image;
}

test(
  "an image that is no kernel, or is cut off, is refused at once, with a sentence",
  NEEDS_LAB,
  async () => {
    const { image } = await packagedKernel(() => undefined);
    const copy = join(folder, "vmlinuz-cut");
    copyFileSync(image, copy);
    truncateSync(copy, 5_000_000);
    await assert.rejects(
      bootLab({ kernel: copy }),
      (error) => error instanceof TargetError && error.message.includes("is cut off: 5000000 bytes"),
    );
    const text = join(folder, "text");
    writeFileSync(text, "no kernel\n");
    await assert.rejects(
      bootLab({ kernel: text }),
      (error) => error instanceof TargetError && error.message.includes("neither a bzImage nor ELF"),
    );
    await assert.rejects(
      bootLab({ kernel: join(dirname(text), "nowhere") }),
      (error) => error instanceof TargetError && error.message.includes("no such file"),
    );
  },
);

test(
  "an image that is damaged inside comes to an end in bounded time, with a sentence",
  NEEDS_LAB,
  async () => {
    const { image } = await packagedKernel(() => undefined);
    const bytes = readFileSync(image);
    bytes.fill(0x55, 6_000_000, 6_100_000);
    const damaged = join(folder, "vmlinuz-damaged");
    writeFileSync(damaged, bytes);
    const since = Date.now();
    await assert.rejects(
      bootLab({ kernel: damaged, patience: 8000 }),
      (error) =>
        error instanceof TargetError &&
        /^(the guest's kernel did not come up within 8 s|the guest|QEMU ended)/.test(error.message),
    );
    assert.ok(Date.now() - since < PATIENCE);
  },
);
