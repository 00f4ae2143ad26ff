// The cache of kernels: complete or not there, whoever else fetches, whenever one is killed. apt is played by scripts.
import assert from "node:assert/strict";
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { TargetError } from "../../src/base/errors.js";
import { packagedKernel } from "../../src/targets/lab/kernel-package.js";

const folder = mkdtempSync(join(tmpdir(), "trapline-kernels-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const RELEASE = "9.9.9-cloud-amd64";
const PACKAGE = `linux-image-${RELEASE}`;
const PATIENCE = 30_000;

/** A package as Debian's are: an image and modules. */
function makePackage(): string {
  const root = join(folder, "root");
  for (const path of ["DEBIAN", "boot", `lib/modules/${RELEASE}`])
    mkdirSync(join(root, path), { recursive: true });
  writeFileSync(
    join(root, "DEBIAN/control"),
    `Package: ${PACKAGE}\nVersion: 1-1\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\nDescription: none\n`,
  );
  writeFileSync(join(root, `boot/vmlinuz-${RELEASE}`), "an image");
  writeFileSync(join(root, `lib/modules/${RELEASE}/modules.order`), "");
  const file = join(folder, `${PACKAGE}_1-1_amd64.deb`);
  execFileSync("dpkg-deb", ["--root-owner-group", "-b", root, file], { stdio: "ignore" });
  return file;
}

/** Puts an `apt-get` and an `apt-cache` first in PATH, which say what the shell says. */
async function withApt(
  scripts: { readonly get: string; readonly cache: string },
  body: (environment: NodeJS.ProcessEnv) => Promise<void>,
): Promise<void> {
  const bin = mkdtempSync(join(folder, "bin-"));
  for (const [name, text] of Object.entries({ "apt-get": scripts.get, "apt-cache": scripts.cache })) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const path = process.env["PATH"];
  process.env["PATH"] = `${bin}:${path ?? ""}`;
  try {
    await body({ ...process.env });
  } finally {
    process.env["PATH"] = path;
  }
}

const KNOWN = `printf '%s\\n' linux-image-cloud-amd64 '  Depends: ${PACKAGE}'`;

/** Copies the package where it is asked to download it, and counts. */
function downloading(deb: string, before = ":"): string {
  return `case "$*" in *download*) echo one >>${folder}/downloads; ${before}; cp ${deb} . ;; esac`;
}

function newCache(): string {
  rmSync(join(folder, "downloads"), { force: true });
  return join(mkdtempSync(join(folder, "cache-")), "trapline/kernels");
}

function downloads(): number {
  return readFileSync(join(folder, "downloads"), "utf8").trim().split("\n").length;
}

/** In a process of its own, which can be killed. */
function fetching(cache: string, environment: NodeJS.ProcessEnv): ChildProcessByStdio<null, Readable, null> {
  const url = new URL("../../src/targets/lab/kernel-package.js", import.meta.url).href;
  const program = `const { packagedKernel } = await import(${JSON.stringify(url)});
    console.log((await packagedKernel(() => undefined, ${JSON.stringify(cache)})).image);`;
  return spawn(process.execPath, ["--input-type=module", "-e", program], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
}

test("a kernel is fetched once, and kept", async () => {
  const cache = newCache();
  await withApt({ get: downloading(makePackage()), cache: KNOWN }, async () => {
    const said: string[] = [];
    const kernel = await packagedKernel((sentence) => said.push(sentence), cache);
    assert.equal(readFileSync(kernel.image, "utf8"), "an image");
    assert.equal(kernel.modules, join(cache, `${PACKAGE}_1-1_amd64/lib/modules/${RELEASE}`));
    assert.deepEqual(said, [`fetching Debian's package ${PACKAGE} into ${cache}, once`]);
    assert.deepEqual(await packagedKernel((sentence) => said.push(sentence), cache), kernel);
    assert.equal(said.length, 1);
    assert.equal(downloads(), 1);
    assert.deepEqual(readdirSync(cache), [`${PACKAGE}_1-1_amd64`]);
  });
});

test("sessions that start together get the same kernel, and leave nothing half", async () => {
  const cache = newCache();
  await withApt({ get: downloading(makePackage(), "sleep 1"), cache: KNOWN }, async (environment) => {
    const ends = await Promise.all(
      [1, 2, 3].map(async () => {
        const child = fetching(cache, environment);
        const [text] = (await once(child.stdout, "data")) as [Buffer];
        await once(child, "exit");
        return text.toString();
      }),
    );
    const image = join(cache, `${PACKAGE}_1-1_amd64/boot/vmlinuz-${RELEASE}`);
    assert.deepEqual(
      ends,
      [1, 2, 3].map(() => `${image}\n`),
    );
    assert.deepEqual(readdirSync(cache), [`${PACKAGE}_1-1_amd64`]);
  });
});

test("a fetch that is killed leaves no kernel, and the next one fetches it", async () => {
  const cache = newCache();
  const deb = makePackage();
  await withApt({ get: downloading(deb, "sleep 2"), cache: KNOWN }, async (environment) => {
    const child = fetching(cache, environment);
    for (const end = Date.now() + PATIENCE; !existsSync(join(folder, "downloads"));) {
      assert.ok(Date.now() < end, "the fetch does not begin");
      await setTimeout(20);
    }
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.equal(readdirSync(cache).filter((name) => !name.startsWith(".")).length, 0);
  });
  await withApt({ get: downloading(deb), cache: KNOWN }, async () => {
    const kernel = await packagedKernel(() => undefined, cache);
    assert.equal(readFileSync(kernel.image, "utf8"), "an image");
    assert.deepEqual(readdirSync(cache), [`${PACKAGE}_1-1_amd64`]);
  });
});

test("where apt has no lists, lists of our own are fetched, and not kept", async () => {
  const cache = newCache();
  const get = `case "$*" in *update*) echo "$*" >${folder}/lists ;; esac\n${downloading(makePackage())}`;
  const known = `case "$*" in *Dir::State::lists=${cache}/*) ${KNOWN} ;; *) echo 'E: No packages found' >&2; exit 100 ;; esac`;
  await withApt({ get, cache: known }, async () => {
    await packagedKernel(() => undefined, cache);
    assert.match(readFileSync(join(folder, "lists"), "utf8"), /Dir::State::lists=.*update/);
    assert.deepEqual(readdirSync(cache), [`${PACKAGE}_1-1_amd64`]);
  });
});

test("no network, and no such package, are sentences that say what to do", async () => {
  const fails = `case "$*" in *download*) echo 'E: Failed to fetch http://deb.example/x.deb  Could not connect' >&2; exit 100 ;; esac`;
  await withApt({ get: fails, cache: KNOWN }, async () => {
    await assert.rejects(
      packagedKernel(() => undefined, newCache()),
      (error) =>
        error instanceof TargetError &&
        error.message.startsWith(`cannot fetch the package ${PACKAGE}: E: Failed to fetch`),
    );
  });
  await withApt({ get: "true", cache: "exit 100" }, async () => {
    const cache = newCache();
    await assert.rejects(
      packagedKernel(() => undefined, cache),
      (error) => error instanceof TargetError && (error.remedy ?? "").includes("--kernel"),
    );
    assert.deepEqual(readdirSync(cache), []);
  });
});
