import assert from "node:assert/strict";
import { test } from "node:test";
import { compileHandlers } from "../../src/handlers/js/compile.js";
import { Hit, Probe } from "../../src/probes/probe.js";
import { HandlerContext } from "../../src/runtime/context.js";
import { DEFAULT_LIMITS } from "../../src/runtime/limits.js";
import type { Images } from "../../src/session/images.js";
import { ProcessScene } from "../../src/session/process/scene.js";
import { NoTarget } from "../../src/targets/nothing.js";
import type { SpaceId, ThreadFacts, ThreadId } from "../../src/targets/target.js";
import { compileText, SCENE } from "../script/run.js";

/** A target of one thread, whose process changes as the test says. */
class OneThread extends NoTarget {
  process = 100;
  asked = 0;

  // The interface's type says more than this target knows: only the process is asked for.
  override facts(): never {
    this.asked++;
    return { process: this.process } as Partial<ThreadFacts> as never;
  }
}

test("pid() is asked for once a thread, and anew where a number came to another process", () => {
  let output = "";
  const context = new HandlerContext({
    limits: DEFAULT_LIMITS,
    strictFaults: false,
    print: (text) => {
      output += text;
    },
    warn: () => {},
    log: () => {},
    exit: () => {},
  });
  const { program } = compileText('probe begin { print(pid(), " ") }');
  // The images of the target are not asked for a process.
  const facts = new ProcessScene({} as Images);
  const [handler] = compileHandlers(program, context, { ...SCENE, process: (hit) => facts.process(hit) });
  assert.ok(handler !== undefined);
  const target = new OneThread();
  const hit = new Hit(target);
  hit.thread = 7 as ThreadId;
  hit.space = 1 as SpaceId;
  hit.probe = new Probe(1, { name: "begin" });
  handler(hit);
  handler(hit);
  assert.equal(target.asked, 1);
  // The thread ended, and the kernel gave its number to the thread of another process.
  target.process = 200;
  hit.space = 2 as SpaceId;
  handler(hit);
  assert.equal(output, "100 100 200 ");
});
