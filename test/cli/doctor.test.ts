import assert from "node:assert/strict";
import { test } from "node:test";
import { examine } from "../../src/cli/doctor/examine.js";
import { type Finding, report } from "../../src/cli/doctor/report.js";
import { CAP_SYS_PTRACE, type Described, machine, status } from "./machines.js";

const YAMA = "/proc/sys/kernel/yama/ptrace_scope";

async function findings(described: Described, about: RegExp): Promise<Finding[]> {
  const all = await examine(machine(described));
  for (const finding of all) {
    assert.ok(finding.state !== "no" || finding.remedy !== undefined, `a remedy for: ${finding.what}`);
  }
  return all.filter((finding) => about.test(finding.what));
}

async function states(described: Described, about: RegExp): Promise<string[]> {
  return (await findings(described, about)).map((finding) => finding.state);
}

void test("on a machine on which all is well every line says ok", async () => {
  const all = await examine(machine());
  assert.deepEqual(
    all.filter((finding) => finding.state !== "ok"),
    [],
  );
  assert.match(report(all), /\nThis machine can probe programs\.\n$/);
});

void test("an old Node.js, and packages that do not load, keep from probing", async () => {
  assert.deepEqual(await states({ nodeVersion: "18.19.0" }, /Node/), ["no"]);
  let tried = false;
  const broken: Described = {
    load: async (name) => Promise.reject(new Error(`no ${name} here\nand more`)),
    tryTrace: async () => {
      tried = true;
      return Promise.resolve({ kind: "traced" });
    },
  };
  assert.deepEqual(await states(broken, /^package/), ["no", "no"]);
  assert.equal(tried, false, "without koffi nothing is tried");
  assert.deepEqual(await states(broken, /not tried/), ["note"]);
  assert.match(report(await examine(machine(broken))), /cannot probe programs: 2 lines say no\.\n$/);
});

void test("each value of ptrace_scope is judged with and without CAP_SYS_PTRACE", async () => {
  const expected = { "0": ["ok", "ok"], "1": ["note", "ok"], "2": ["no", "ok"], "3": ["no", "no"] };
  for (const [scope, [plain, capable]] of Object.entries(expected)) {
    const about = /^tracing: (\/proc|-c)/;
    assert.deepEqual(await states({ files: { [YAMA]: `${scope}\n` } }, about), [plain], `${scope} plain`);
    const files = { [YAMA]: `${scope}\n`, "/proc/self/status": status({ CapEff: CAP_SYS_PTRACE }) };
    assert.deepEqual(await states({ files }, about), [capable], `${scope} capable`);
  }
});

void test("a try that is refused keeps from probing, whatever the settings say", async () => {
  const tryTrace: Described["tryTrace"] = async () => Promise.resolve({ kind: "refused", reason: "EPERM" });
  const [plain] = await findings({ tryTrace }, /tried on a child/);
  assert.equal(plain?.state, "no");
  assert.match(plain.what, /EPERM/);
  assert.match(plain.remedy ?? "", /SELinux/);
  const files = { "/proc/self/status": status({ Seccomp: "2" }) };
  const [contained] = await findings({ tryTrace, files }, /tried on a child/);
  assert.match(contained?.remedy ?? "", /--cap-add=SYS_PTRACE/);
  assert.deepEqual(await states({ files }, /seccomp filter/), ["note"]);
});

void test("what costs only speed or comfort is a note with a remedy", async () => {
  const missing = await findings({ findProgram: () => undefined }, /not installed/);
  assert.deepEqual(
    missing.map(({ state, remedy }) => [state, remedy]),
    [
      ["note", "apt-get install perl"],
      ["note", "apt-get install gcc"],
      ["note", "apt-get install gdb"],
    ],
  );
  assert.deepEqual(await states({ processors: 1 }, /^processors/), ["note"]);
  assert.deepEqual(await states({ canRunBeside: async () => Promise.resolve(false) }, /^scheduling/), [
    "note",
  ]);
  assert.deepEqual(await states({ readFolder: () => [] }, /^debug symbols/), ["note"]);
  assert.deepEqual(await states({ files: { "/proc/cpuinfo": "flags\t\t: fpu user_shstk\n" } }, /^shadow/), [
    "note",
  ]);
  assert.deepEqual(
    await states({ files: { "/proc/self/status": status({ TracerPid: "7" }) } }, /process 7/),
    ["note"],
  );
});

void test("whether --lab can boot a kernel is said, and what to install where it cannot", async () => {
  const without = (...names: string[]): Described => ({
    findProgram: (name) => (names.includes(name) ? undefined : `/usr/bin/${name}`),
  });
  const [fetches] = await findings({}, /^lab:/);
  assert.equal(fetches?.state, "ok");
  assert.match(fetches.what, /fetched/);
  const cached: Described = {
    readFolder: (path) => (path.endsWith("trapline/kernels") ? [".partial-1-a", "linux-image-1"] : []),
  };
  assert.match((await findings(cached, /^lab:/))[0]?.what ?? "", /, linux-image-1 in /);
  const [missing] = await findings(without("qemu-system-x86_64", "busybox"), /^lab:/);
  assert.equal(missing?.state, "note");
  assert.equal(missing.remedy, "apt-get install qemu-system-x86 busybox-static");
  const [noApt] = await findings(without("apt-get"), /^lab:/);
  assert.equal(noApt?.state, "note");
  assert.match(noApt.remedy ?? "", /--kernel/);
});
