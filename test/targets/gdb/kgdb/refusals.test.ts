import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../../../src/base/address.js";
import { ProbeRefused } from "../../../../src/base/errors.js";
import { armAt } from "../../../../src/probes/arming.js";
import { RETURNED } from "../../../../src/probes/outcome.js";
import { Probe, type ProbeDefinition } from "../../../../src/probes/probe.js";
import { ProbedSpace } from "../../../../src/probes/space.js";
import { NO_FAULTS, refusedByKgdb } from "../../../../src/targets/gdb/kernel/kgdb/refusals.js";
import type { Memory, SpaceId } from "../../../../src/targets/target.js";

const AT = -0x7eff_0000 as Address;

function reasonOf(bytes: readonly number[], place: { function?: string; mayBeFixedUp?: boolean } = {}) {
  const { function: name, mayBeFixedUp = false } = place;
  return refusedByKgdb({ at: AT, bytes: Uint8Array.from(bytes), function: name, mayBeFixedUp })?.reason;
}

const PUSH = [0x55];

test("where no fault is told of a fault phase is refused, and an instruction that the kernel mends", () => {
  const memory = {
    readSome: (_at: Address, into: Uint8Array) => (into.set([0x48, 0x8b, 0x00]), 3),
    writeText: () => undefined,
  };
  const arm = (phases: Partial<ProbeDefinition>): void => {
    const space = new ProbedSpace(
      1 as SpaceId,
      memory as unknown as Memory,
      undefined,
      false,
      undefined,
      undefined,
      NO_FAULTS,
    );
    const probe = new Probe(1, { name: "load", ...phases });
    armAt(space, AT, { probe, key: undefined, accepts: undefined }, {});
  };
  const handler = (): typeof RETURNED => RETURNED;
  const refused = (error: unknown): boolean =>
    error instanceof ProbeRefused && error.reason === "unseen-fault";
  assert.throws(() => {
    arm({ fault: handler });
  }, refused);
  assert.throws(() => {
    arm({ post: handler, postOn: "both" });
  }, refused);
  arm({ pre: handler, post: handler });
  assert.equal(reasonOf([0x48, 0x8b, 0x00], { mayBeFixedUp: true }), "unseen-fault");
  assert.equal(reasonOf([0x48, 0x8b, 0x00]), undefined);
  assert.equal(reasonOf([0x0f, 0x0b]), "unseen-fault"); // ud2: WARN and BUG
});

test("what KGDB cannot step over in one step is refused", () => {
  assert.equal(reasonOf([0xf3, 0xa4]), "not-in-one-step"); // rep movsb
  assert.equal(reasonOf([0xfb]), "not-in-one-step"); // sti
  assert.equal(reasonOf([0xa4]), undefined); // movsb
});

test("what KGDB itself runs is refused", () => {
  const ownFunctions = [
    "kgdb_handle_exception",
    "put_packet",
    "__text_poke",
    "switch_mm_irqs_off",
    "io_serial_in",
  ];
  for (const name of ownFunctions) assert.equal(reasonOf(PUSH, { function: name }), "debugger-text", name);
  const others = ["vfs_read", "strncpy_from_user", "mem_cgroup_charge", "switch_task_namespaces"];
  for (const name of others) assert.equal(reasonOf(PUSH, { function: name }), undefined, name);
});

test("a breakpoint of the kernel's own is left to it, and nothing is put where nothing is mapped", () => {
  assert.equal(reasonOf([0xcc]), "foreign-breakpoint");
  assert.equal(reasonOf([]), "unmapped");
});
