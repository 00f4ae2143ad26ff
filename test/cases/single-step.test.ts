import assert from "node:assert/strict";
import { test } from "node:test";
import { ProbeCore } from "../../src/probes/core.js";
import { RETURNED } from "../../src/probes/outcome.js";
import type { ProbeDefinition } from "../../src/probes/probe.js";
import { ElfImage } from "../../src/symbols/elf/image.js";
import { loadedAt } from "../../src/symbols/vaddr.js";
import { LinuxTarget } from "../../src/targets/linux/target.js";
import { CONTINUE, type Resume, type SpaceId } from "../../src/targets/target.js";
import { needs } from "../support/needs.js";
import { target as program } from "../support/programs.js";

const handler = () => RETURNED;

/** Runs faulty.c with probes on it, and counts in which ways its thread was resumed. */
async function resumes(
  probes: Readonly<Record<string, Partial<ProbeDefinition>>>,
): Promise<{ kinds: Record<Resume["kind"], number>; hits: number }> {
  const path = program("faulty");
  await using linux = LinuxTarget.launch([path]);
  const kinds = { continue: 0, step: 0, deliver: 0, "in-place": 0 };
  const counted = new Proxy(linux, {
    get(real, key) {
      if (key === "resume") {
        return (thread: Parameters<LinuxTarget["resume"]>[0], how: Resume) => {
          kinds[how.kind]++;
          real.resume(thread, how);
        };
      }
      const value: unknown = Reflect.get(real, key);
      return typeof value === "function" ? (value.bind(real) as unknown) : value;
    },
  });
  const core = new ProbeCore(counted, {
    probeDisarmed: () => undefined,
    handlerFailed: () => undefined,
    locationLost: () => undefined,
  });
  const [thread] = linux.threads();
  assert.ok(thread !== undefined);
  const space: SpaceId = linux.spaceOf(thread);
  using elf = ElfImage.open(path);
  const bias = elf.loadBias(linux.mappings(space));
  assert.ok(bias !== undefined);
  const registered = Object.entries(probes).map(([name, definition]) => {
    const [place] = elf.functions(name);
    assert.ok(place !== undefined);
    const probe = core.register({ name, ...definition });
    core.arm(probe, space, loadedAt(place.vaddr, bias));
    return probe;
  });
  linux.resume(thread, CONTINUE);
  for (let stop = linux.wait(Infinity); stop !== undefined; stop = linux.wait(Infinity)) {
    if (!core.handle(stop) && stop.kind !== "thread-gone") linux.resume(stop.thread, CONTINUE);
    if (stop.kind === "thread-gone") break;
  }
  return { kinds, hits: registered.reduce((sum, probe) => sum + probe.hits, 0) };
}

test(
  "[S9 pre] a probe without a post phase is never single-stepped, also beside one that has it",
  needs("gcc"),
  async () => {
    const { kinds, hits } = await resumes({
      work: { pre: handler },
      the_work: { pre: handler },
      the_store: { post: handler },
    });
    assert.equal(hits, 10 + 10 + 10);
    assert.equal(kinds.step, 0);
  },
);

test("[S9 fault] a fault phase costs no step: the fault's own stop tells", needs("gcc"), async () => {
  const { kinds, hits } = await resumes({
    the_store: { fault: handler },
    the_divide: { pre: handler, fault: handler },
    the_trap: { fault: handler },
  });
  assert.equal(hits, 10 + 7 + 3);
  assert.equal(kinds.step, 0);
});
