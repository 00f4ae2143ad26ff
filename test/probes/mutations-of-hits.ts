import type { Mutation } from "./mutation.js";

/** Bugs on the way through a hit. */
export const HIT_MUTATIONS: readonly Mutation[] = [
  {
    bug: "a hit that an interrupt came before is counted again",
    file: "hit-engine.ts",
    find: `    if (state.arrival.state === "stepping") {
      watch = this.interrupt(state, "rewound");`,
    replace: `    if (state.arrival.state === "stepping") {
      this.interrupt(state, "rewound");`,
  },
  {
    bug: "a hit that an interrupt came before is under way while the interrupt is dealt with",
    file: "hit-engine.ts",
    find: `      watch = this.interrupt(state, "rewound");
      state.arrival.clear();`,
    replace: `      watch = this.interrupt(state, "rewound");`,
  },
  {
    bug: "a hit that an interrupt came before comes to no end where the target is left meanwhile",
    file: "hit-engine.ts",
    find: `this.abandon(state.arrival);
    this.abandonInterrupted(state);`,
    replace: "this.abandon(state.arrival);",
  },
  {
    bug: "a thread that a pre-handler sent elsewhere has its post-handlers run all the same",
    file: "hit-engine.ts",
    find: `    this.complete(arrival);
    arrival.state = "idle";
    this.target.resume(thread, CONTINUE);`,
    replace: "    this.finish(thread, arrival);",
  },
  {
    bug: "a recursive hit is not counted as missed",
    file: "hit-engine.ts",
    find: '    for (const entry of location.entries) if (entry.probe.armed) entry.probe.count("nmissed");\n',
    replace: "",
  },
  {
    bug: "a recursive hit loses the hit around it",
    file: "hit-engine.ts",
    find: "    state.arrival.restore(outer);\n",
    replace: "",
  },
  {
    bug: "after a recursive hit the thread counts as idle",
    file: "hit-engine.ts",
    find: `    state.arrival.restore(outer);
    state.arrival.state = "active";`,
    replace: `    state.arrival.restore(outer);
    state.arrival.state = "idle";`,
  },
  {
    bug: "a stepped instruction that left another way is not abandoned",
    file: "hit-engine.ts",
    find: `    if (arrival.state === "stepping") this.abandon(arrival);\n    let retries`,
    replace: "    let retries",
  },
  {
    bug: "a hit that goes on after a signal is counted again",
    file: "hit-engine.ts",
    find: `if (open?.why === "rewound" && open.arrival.location === location) {`,
    replace: `if (open?.why === "rewound" && false) {`,
  },
  {
    bug: "a hit goes on in text that was mapped anew",
    file: "hit-engine.ts",
    find: ` && open.arrival.location === location) {`,
    replace: `) {`,
  },
  {
    bug: "a hit interrupted in text that was mapped anew comes to no end",
    file: "hit-engine.ts",
    find: "      else if (open !== undefined) this.abandonOpen(open);\n",
    replace: "",
  },
  {
    bug: "every retry is the first",
    file: "hit-engine.ts",
    find: "retries = open.arrival.retries + 1;",
    replace: "retries = 1;",
  },
  {
    bug: "retries are not counted",
    file: "hit-engine.ts",
    find: '      if (arrival.retries > 0) probe.count("retries");\n',
    replace: "",
  },
  {
    bug: "an instruction is executed that a handler sent its thread away from",
    file: "hit-engine.ts",
    find: "    if (registers.pc === location.address) this.execute",
    replace: "    if (registers.pc !== 0) this.execute",
  },
  {
    bug: "the program's own trap in a slot is taken for ours",
    file: "hit-engine.ts",
    find: "if (!slot.code.stops.includes(registers.pc - slot.address)) {",
    replace: "if (slot.code.stops.length === 0 && !slot.code.stops.includes(registers.pc)) {",
  },
  {
    bug: "a thread goes on in the slot behind the stop",
    file: "hit-engine.ts",
    find: `    settle(slot, registers, space.memory);
    if (arrival.state === "stepping" && arrival.location`,
    replace: `    if (arrival.state === "stepping" && arrival.location`,
  },
  {
    bug: "a stray trap is delivered to the program",
    file: "hit-engine.ts",
    find: "    if (isProgramsOwn(space, at)) {",
    replace: "    if (isProgramsOwn(space, at) || space.locations.has(at)) {",
  },
  {
    bug: "after a stray trap the thread goes on in the middle of the instruction",
    file: "hit-engine.ts",
    find: "    this.target.registers(thread).pc = at;\n",
    replace: "",
  },
  {
    bug: "a thread that exits completes its hit",
    file: "hit-engine.ts",
    find: `    this.uncomplete(arrival);
    this.abandon(arrival);
  }

  /** A thread is gone`,
    replace: `  }

  /** A thread is gone`,
  },
  {
    bug: "a thread that is killed behind its instruction abandons its hit",
    file: "hit-engine.ts",
    find: `    if (pointAt(slot, pc)?.kind === "after" && !slot.location.displacement.facts.isSystemCall) return;\n`,
    replace: "",
  },
  {
    bug: "an exec completes its own hit",
    file: "hit-engine.ts",
    find: `by === "exec" &&`,
    replace: `by !== "exec" && by !== "end" &&`,
  },
  {
    bug: "what a thread was interrupted in is not abandoned when it ends",
    file: "hit-engine.ts",
    find: `    for (const open of state.abandonAll()) this.abandonOpen(open);
`,
    replace: "",
  },
  {
    bug: "leaving does not lead a thread out of its slot",
    file: "hit-engine.ts",
    find: `    if (slot !== undefined) settle(slot, registers, space.memory);
    // The instruction executes without us`,
    replace: `    // The instruction executes without us`,
  },
  {
    bug: "an event's post-handler runs for a probe that its fault handler unregistered",
    file: "hit-engine.ts",
    find: "both !== undefined && probe.armed",
    replace: "both !== undefined",
  },
  {
    bug: "a probe that was disarmed by a handler before it is called",
    file: "hit-engine.ts",
    find: "if (!probe.armed || (entry.accepts",
    replace: "if ((entry.accepts",
  },
  {
    bug: "a return probe takes every arrival at a return site for a return",
    file: "hit-engine.ts",
    find: "if (!probe.armed || (entry.accepts !== undefined && !entry.accepts(hit))) continue;",
    replace: "if (!probe.armed || (entry.accepts !== undefined && !entry.accepts(hit) && false)) continue;",
  },
  {
    bug: "every hit stops behind its instruction",
    file: "hit-engine.ts",
    find: "    const stop = wantsPost(arrival);",
    replace: "    const stop = arrival.probes.length > 0;",
  },
  {
    bug: "only the first probe is asked whether it has a post-handler",
    file: "hit-engine.ts",
    find: "probe.definition.post !== undefined) return true;",
    replace: "probe.definition.post !== undefined) return probe === arrival.probes[0];",
  },
  {
    bug: "the stop behind a return is waited for where none can be",
    file: "hit-engine.ts",
    find: "const step = stop && displacement.facts.endsFlow;",
    replace: "const step = false && displacement.facts.endsFlow;",
  },
  {
    bug: "a hit without a slot is completed before its instruction ran",
    file: "hit-engine.ts",
    find: "      this.abandon(arrival);\n      this.target.resume(thread, CONTINUE);\n      return;",
    replace: "      this.finish(thread, arrival);\n      return;",
  },
  {
    bug: "a boosted hit is never completed",
    file: "hit-engine.ts",
    find: "      this.complete(arrival);\n    }\n    this.target.resume(thread, step",
    replace: "    }\n    this.target.resume(thread, step",
  },
  {
    bug: "a post-handler runs that was disarmed meanwhile",
    file: "hit-engine.ts",
    find: `if (probe.armed && post !== undefined) this.calls.call(probe, "post"`,
    replace: `if (post !== undefined) this.calls.call(probe, "post"`,
  },
  {
    bug: "a boosted hit that faults stays completed",
    file: "hit-engine.ts",
    find: `      if (arrival.state === "boosted") this.uncomplete(arrival);
      this.runFault`,
    replace: "      this.runFault",
  },
  {
    bug: "a fault is counted for the first probe only",
    file: "hit-engine.ts",
    find: '      probe.count("faulted");\n',
    replace: '      if (index === 0) probe.count("faulted");\n',
  },
  {
    bug: "the post-handler for completion runs after a fault",
    file: "hit-engine.ts",
    find: `definition.post !== undefined && definition.postOn === "both") {`,
    replace: "definition.post !== undefined) {",
  },
  {
    bug: "the post-handler for both outcomes does not run after a fault",
    file: "hit-engine.ts",
    find: `definition.post !== undefined && definition.postOn === "both") {`,
    replace: `definition.post !== undefined && definition.postOn !== "both" && false) {`,
  },
  {
    bug: "a fault that is retried is told to a probe that wants the others only",
    file: "hit-engine.ts",
    find: `const wanted = definition.faultWhen !== "not-retried" || !fault.retryable;`,
    replace: "const wanted = true;",
  },
  {
    bug: "every fault counts as retryable",
    file: "hit-engine.ts",
    find: `retryable: raisedAs === "fault" && this.target.disposition(thread, signal) === "handled",`,
    replace: "retryable: true,",
  },
  {
    bug: "a trap counts as retryable",
    file: "hit-engine.ts",
    find: `retryable: raisedAs === "fault" && this`,
    replace: "retryable: this",
  },
  {
    bug: "nobody watches for the retry of a faulted instruction",
    file: "hit-engine.ts",
    find: `if (fault.retryable) watch = this.interrupt(state, "faulted");`,
    replace: "",
  },
  {
    bug: "a fault shows the slot",
    file: "hit-engine.ts",
    find: `    const raisedAt = registers.pc;
    settle(slot, registers, space.memory);`,
    replace: "    const raisedAt = registers.pc;",
  },
  {
    bug: "a signal shows the slot",
    file: "hit-engine.ts",
    find: `    settle(slot, registers, space.memory);
    let watch: ReturnToken = 0;
    if (ours`,
    replace: `    let watch: ReturnToken = 0;
    if (ours`,
  },
  {
    bug: "a signal in a slot is lost",
    file: "hit-engine.ts",
    find: `      this.target.resume(thread, { kind: "deliver" });
      return;
    }
    const ours`,
    replace: `      this.target.resume(thread, CONTINUE);
      return;
    }
    const ours`,
  },
  {
    bug: "an interrupted hit stays completed",
    file: "hit-engine.ts",
    find: `      if (arrival.state === "boosted") this.uncomplete(arrival);
      if (disposition`,
    replace: "      if (disposition",
  },
  {
    bug: "a signal that kills leaves the hit open",
    file: "hit-engine.ts",
    find: "      } else this.abandon(arrival);\n    } else if (ours",
    replace: "      }\n    } else if (ours",
  },
  {
    bug: "the post-handler is forgotten where a signal comes behind the instruction",
    file: "hit-engine.ts",
    find: `    } else if (ours && arrival.state === "stepping") {
      this.end(thread, arrival);
    }`,
    replace: "    }",
  },
  {
    bug: "arrivals that a thread will not come back to stay open",
    file: "hit-engine.ts",
    find: "    for (const each of this.left) this.abandonOpen(each);\n",
    replace: "",
  },
  {
    bug: "a faulted hit is abandoned as well when the thread ends",
    file: "hit-engine.ts",
    find: `    if (open.why === "rewound") this.abandon(open.arrival);`,
    replace: "    this.abandon(open.arrival);",
  },
  {
    bug: "an exception that the target recognised is no fault of the instruction",
    file: "hit-engine.ts",
    find: "      this.runFault(thread, arrival, location, { name, number: vector, code: errorCode, address, retryable });\n",
    replace: "      this.end(thread, arrival);\n",
  },
  {
    bug: "a retry of an instruction that executes in its place is not watched for",
    file: "hit-engine.ts",
    find: `      if (retryable) watch = this.interrupt(state, "faulted");
      arrival.state = "idle";`,
    replace: `      arrival.state = "idle";`,
  },
  {
    bug: "a breakpoint that the target keeps itself is not taken out",
    file: "arming.ts",
    find: "return space.breakpoints.remove(space.id, location.address);",
    replace: "return true;",
  },
];
