import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { after, before, test } from "node:test";
import assert from "node:assert/strict";

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

/** npm's own words about the package it made: one entry of what `npm pack --json` prints. */
interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

const folder = await mkdtemp(join(tmpdir(), "trapline-package-"));
let packed: Packed;

/** npm as a user calls it: without what the `npm test` around us has set. */
function npm(...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_|^(NODE_OPTIONS|NODE_TEST_CONTEXT|INIT_CWD)$/i.test(name),
    ),
  );
  return run("npm", args, { cwd: folder, env, maxBuffer: 64 * 1024 * 1024 });
}

before(async () => {
  // `prepack` builds dist/, and says so on standard output in front of the JSON.
  await run(process.execPath, [join(ROOT, "scripts/run.mjs"), "build"]);
  const { stdout } = await npm("pack", ROOT, "--json", "--ignore-scripts", "--pack-destination", folder);
  const [first] = JSON.parse(stdout) as readonly Packed[];
  assert.ok(first, "npm pack made a package");
  packed = first;
  await writeFile(
    join(folder, "package.json"),
    '{ "name": "consumer", "private": true, "type": "module" }\n',
  );
  await npm("install", "--prefer-offline", "--no-audit", "--no-fund", join(folder, packed.filename));
});

after(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("the package holds what its manifest promises, and neither tests nor scripts", async () => {
  const paths = new Set(packed.files.map((file) => file.path));
  const manifest = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
    readonly bin: Readonly<Record<string, string>>;
    readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  };
  const promised = [
    ...Object.values(manifest.bin),
    ...Object.values(manifest.exports).flatMap((to) => (typeof to === "string" ? [to] : Object.values(to))),
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "SECURITY.md",
    // What sources read at run time, beside what they are compiled to.
    ...(await readdir(join(ROOT, "src"), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".ts"))
      .map((entry) => join("dist", relative(join(ROOT, "src"), entry.parentPath), entry.name)),
  ];
  for (const path of promised) {
    const plain = path.replace(/^\.\//, "");
    assert.ok(paths.has(plain), `${plain} is in the package`);
  }
  const foreign = [...paths].filter((path) =>
    /^(test|scripts|bench|build|src|node_modules|\.ci)\//.test(path),
  );
  assert.deepEqual(foreign, []);
});

test("npx trapline --version says the package's version, from an empty folder", async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  const { stdout } = await run("npx", ["--no-install", "trapline", "--version"], { cwd: folder });
  assert.match(stdout, new RegExp(`\\b${version.replaceAll(".", "\\.")}\\b`));
});

test("a consumer at the strictest settings compiles against the installed declarations", async () => {
  for (const file of ["consumer.ts", "tsconfig.json"]) {
    await cp(join(ROOT, "test/package/consumer", file), join(folder, file));
  }
  // The consumer's own compiler and Node types: ours, so that nothing is downloaded twice.
  await symlink(join(ROOT, "node_modules/@types"), join(folder, "node_modules/@types"));
  try {
    await run(process.execPath, [TSC, "-p", folder], { cwd: folder });
  } catch (error) {
    assert.fail((error as { stdout?: string }).stdout ?? String(error));
  }
  const { watch } = (await import(join(folder, "out/consumer.js"))) as Readonly<Record<string, unknown>>;
  assert.equal(typeof watch, "function");
});

test("the package has one door: what is not exported cannot be imported", async () => {
  await writeFile(join(folder, "inside.js"), 'import "trapline/dist/base/errors.js";\n');
  await assert.rejects(
    run(process.execPath, ["inside.js"], { cwd: folder }),
    /ERR_PACKAGE_PATH_NOT_EXPORTED/,
  );
});
