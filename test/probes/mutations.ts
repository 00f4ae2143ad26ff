import type { Mutation } from "./mutation.js";
import { HIT_MUTATIONS } from "./mutations-of-hits.js";

/** The bugs that the model must find, each by itself. A new promise of the core brings a new one with it. */
export const MUTATIONS: readonly Mutation[] = [
  ...HIT_MUTATIONS,
  {
    bug: "events are counted for a disarmed probe",
    file: "core.ts",
    find: `if (!probe.armed && details.part !== "end") return false;`,
    replace: "",
  },
  {
    bug: "the end of an event is not counted where its begin disarmed the probe",
    file: "core.ts",
    find: ` && details.part !== "end"`,
    replace: "",
  },
  {
    bug: "a probe that is armed again has not all its cancelled hits",
    file: "core.ts",
    find: "if (!probe.armed) probe.forgetCancelled();",
    replace: "",
  },
  {
    bug: "a probe that is disarmed stays in its places",
    file: "core.ts",
    find: "for (const location of this.places.get(probe) ?? []) this.leave(location, probe);",
    replace: "",
  },
  {
    bug: "the first probe that leaves takes the breakpoint with it",
    file: "core.ts",
    find: "if (location.entries.length === 0 && space !== undefined && !disarmAt(space, location))",
    replace: "if (space !== undefined && !disarmAt(space, location))",
  },
  {
    bug: "a probe that is armed twice at a place is called twice there",
    file: "core.ts",
    find: "?.entries.some((entry) => entry.probe === probe && entry.key === options.key) === true",
    replace: "?.entries.some(() => false) === true",
  },
  {
    bug: "a forked copy is not registered with its probes",
    file: "core.ts",
    find: `    agreeWithMemory(copy, original.forgotten);
    for (const location of copy.locations.values()) {
      for (const entry of location.entries) this.places.get(entry.probe)?.add(location);
    }`,
    replace: "    agreeWithMemory(copy, original.forgotten);",
  },
  {
    bug: "a forked copy is not compared with its memory",
    file: "core.ts",
    find: "    agreeWithMemory(copy, original.forgotten);\n",
    replace: "",
  },
  {
    bug: "text that is unmapped keeps its probes",
    file: "core.ts",
    find: "      location.entries = [];\n      probed?.locations.delete(address);\n",
    replace: "",
  },
  {
    bug: "a thread that ends leaves its hit open",
    file: "core.ts",
    find: "    this.engine.onGone(state, by);\n",
    replace: "",
  },
  {
    bug: "a hit on its way out of the process is not looked at",
    file: "core.ts",
    find: `        this.engine.onExiting(
          stop.thread,
          this.threadState(stop.thread),
          this.spaces.get(this.target.spaceOf(stop.thread)),
        );
`,
    replace: "",
  },
  {
    bug: "a place that is given up keeps its breakpoint",
    file: "core.ts",
    find: `    location.entries = [];
    const space = this.spaces.get(location.space);
    if (space !== undefined) disarmAt(space, location);`,
    replace: "    location.entries = [];",
  },
  {
    bug: "a probe that MAXCANCELLED disarms goes on",
    file: "core.ts",
    find: "        this.disarm(probe);\n        this.listener",
    replace: "        this.listener",
  },
  {
    bug: "leaving does not set a thread back that stands at a breakpoint",
    file: "core.ts",
    find: "        this.target.registers(stop.thread).pc = stop.at;\n",
    replace: "",
  },
  {
    bug: "leaving puts no text back",
    file: "core.ts",
    find: "    for (const location of space.locations.values()) disarmAt(space, location);\n",
    replace: "",
  },
  {
    bug: "a disarmed place is still taken for a hit",
    file: "core.ts",
    find: "location?.armed === true) {\n      this.engine.onArrival",
    replace: "location !== undefined) {\n      this.engine.onArrival",
  },
  {
    bug: "probes at one place are called in the reverse order",
    file: "arming.ts",
    find: "location.entries = [...location.entries, entry];",
    replace: "location.entries = [entry, ...location.entries];",
  },
  {
    bug: "the original byte is not written back",
    file: "arming.ts",
    find: "  space.memory.writeText(location.address, Uint8Array.of(location.originalByte));\n",
    replace: "",
  },
  {
    bug: "a place that is disarmed still counts as armed",
    file: "arming.ts",
    find: `  location.armed = false;
  if`,
    replace: "  if",
  },
  {
    bug: "a probe inside a probed instruction is not refused",
    file: "arming.ts",
    find: "    refuseOverlap(space, location);\n",
    replace: "",
  },
  {
    bug: "a program's int 3 of two bytes is not known as its own once it is probed",
    file: "arming.ts",
    find: "return (location?.armed === true ? location.originalByte : bytes[0]) === 0xcd;",
    replace: "return location?.armed !== true && bytes[0] === 0xcd;",
  },
  {
    bug: "a copy of an arrival forgets its retries",
    file: "arrival.ts",
    find: "    this.retries = from.retries;\n",
    replace: "",
  },
  {
    bug: "a copy of an arrival forgets its probes",
    file: "arrival.ts",
    find: "      this.add(from.probe(index), from.saved[index]);\n",
    replace: "",
  },
  {
    bug: "an arrival that goes on forgets the faults of its handlers",
    file: "arrival.ts",
    find: "      this.handlerFaults[index] = from.handlerFaults[index] ?? 0;\n",
    replace: "",
  },
  {
    bug: "returning from a signal handler drops what lies below it",
    file: "arrival.ts",
    find: "left.push(...this.open.splice(index + 1));",
    replace: "left.push(...this.open.splice(0, index));",
  },
  {
    bug: "cancelled hits are not disarmed",
    file: "handler-calls.ts",
    find: "if (bound !== 0 && probe.cancelledInRow >= bound) {",
    replace: "if (bound !== 0 && probe.cancelledInRow > bound) {",
  },
  {
    bug: "the row of cancelled hits is not broken by one that is not cancelled",
    file: "handler-calls.ts",
    find: "probe.lastCancelled === probe.hits - 1 ? probe.cancelledInRow + 1 : 1;",
    replace: "probe.cancelledInRow + 1;",
  },
  {
    bug: "a hit that is cancelled twice counts as two",
    file: "handler-calls.ts",
    find: "    if (probe.lastCancelled === probe.hits) return;\n",
    replace: "    if (probe.lastCancelled === probe.hits) probe.lastCancelled--;\n",
  },
  {
    bug: "faultHandler is not called",
    file: "handler-calls.ts",
    find: "        probe.definition.faultHandler?.(this.hit, outcome.fault);\n",
    replace: "",
  },
  {
    bug: "an error of a handler is taken for a fault",
    file: "handler-calls.ts",
    find: '        probe.count("handlerErrors");\n',
    replace: '        probe.count("handlerFaults");\n',
  },
  {
    bug: "a handler that could not run is not counted as missed",
    file: "handler-calls.ts",
    find: '        probe.count("nmissed");\n',
    replace: "",
  },
  {
    bug: "a handler that runs away goes on being called",
    file: "handler-calls.ts",
    find: "        this.on.disarm(probe, outcome.message);\n",
    replace: "",
  },
  {
    bug: "handlers are told of the fault of a hit before",
    file: "handler-calls.ts",
    find: `    hit.registers = hit.target.registers(thread);
    hit.fault = fault;
    hit.retries = arrival.retries;
    return hit;`,
    replace: `    hit.registers = hit.target.registers(thread);
    hit.fault ??= fault;
    hit.retries = arrival.retries;
    return hit;`,
  },
  {
    bug: "a breakpoint that was put in since the fork is not put into the copy",
    file: "fork.ts",
    find: "bytes[offset] === other && other !== wanted",
    replace: "bytes[offset] === other && other === BREAKPOINT",
  },
  {
    bug: "a breakpoint that was taken out since the fork stays in the copy",
    file: "fork.ts",
    find: "bytes[offset] === other && other !== wanted",
    replace: "bytes[offset] === other && wanted === BREAKPOINT",
  },
  {
    bug: "a slot that was written since the fork is missing in the copy",
    file: "fork.ts",
    find: "if (!equal(there, slot.code.bytes)) putSlot",
    replace: "if (equal(there, slot.code.bytes)) putSlot",
  },
  {
    bug: "slots that were mapped since the fork are thought to be in the copy",
    file: "fork.ts",
    find: "      space.slots.drop(region);\n",
    replace: "",
  },
  {
    bug: "leaving leads no thread out of its slot",
    file: "leaving.ts",
    find: "      core.leadOut(thread);\n",
    replace: "",
  },
  {
    bug: "leaving unmaps no slots",
    file: "leaving.ts",
    find: "unmap(thread, region.start, region.end - region.start);",
    replace: "unmap(thread, region.end, region.end - region.start);",
  },
  {
    bug: "leaving forgets the stops that come meanwhile",
    file: "leaving.ts",
    find: "      core.noteWhileLeaving(stop);\n",
    replace: "",
  },
  {
    bug: "a thread in a slot is thought to be at the instruction, wherever it is",
    file: "out-of-line.ts",
    find: "else registers.pc = point?.at ?? slot.location.address;",
    replace: "else registers.pc = slot.location.address;",
  },
  {
    bug: "a stopping slot is taken for a boosted one",
    file: "out-of-line.ts",
    find: `const end = stopAfter ? "stopping" : "boosted";`,
    replace: `const end = stopAfter ? "boosted" : "boosted";`,
  },
  {
    bug: "a dropped slot is still used",
    file: "slots.ts",
    find: "    for (const slot of region.slots) slot.location.slots.delete(slot.form);\n",
    replace: "",
  },
  {
    bug: "a copied location is not armed",
    file: "location.ts",
    find: "    copy.armed = this.armed;\n",
    replace: "",
  },
  {
    bug: "a copied location has no probes",
    file: "location.ts",
    find: "    copy.entries = this.entries;\n",
    replace: "",
  },
  {
    bug: "a return is awaited where the call began, not where it returns to",
    file: "return-probe.ts",
    find: "const after = offsetBy(sp, 8);",
    replace: "const after = sp;",
  },
  {
    bug: "a return is told again at each arrival at its site",
    file: "return-probe.ts",
    find: "    calls.splice(index, 1);\n",
    replace: "",
  },
  {
    bug: "a return does not know its function",
    file: "return-probe.ts",
    find: "    this.ended = calls[index];\n",
    replace: "",
  },
  {
    bug: "a return has nothing of its call's entry",
    file: "return-probe.ts",
    find: "    hit.saved = this.ended?.saved;\n",
    replace: "",
  },
  {
    bug: "a handler has nothing of the entry that its return is of",
    file: "handler-calls.ts",
    find: "    hit.saved = arrival.saved[index];\n",
    replace: "    hit.saved = undefined;\n",
  },
  {
    bug: "leaving asks no thread to stop",
    file: "leaving.ts",
    find: "          target.interrupt(thread);\n",
    replace: "",
  },
  {
    bug: "a slot is written over the one before it",
    file: "slots.ts",
    find: "return offsetBy(region.start, region.slots.length * SLOT_LENGTH);",
    replace: "return offsetBy(region.start, Math.max(0, region.slots.length - 1) * SLOT_LENGTH);",
  },
  {
    bug: "the later half of a slot is taken for the next one",
    file: "slots.ts",
    find: "Math.floor((pc - region.start) / SLOT_LENGTH)",
    replace: "Math.floor((pc - region.start) / (SLOT_LENGTH / 8))",
  },
];
