// Case 3b: one post-handler for both outcomes, told which.
import { launch } from "../src/index.js"; // elsewhere: from "trapline"
import { faultingLoad } from "./faulting-load.js";

// For the program: perl then runs its handlers of signals at once.
process.env["PERL_SIGNALS"] = "unsafe";
const command = ["perl", "examples/dodgy.pl"];
const offset = await faultingLoad(command);
await using target = await launch({ command });
const outcomes = { done: 0, raised: 0 };
const probe = await target.registerKprobe({
  symbolName: "strlen",
  module: "libc.so.6",
  offset,
  postOn: "both",
  postHandler(_probe, _registers, _k, hit) {
    if (hit.fault === undefined) outcomes.done++;
    else outcomes.raised++;
  },
});
await target.run();
console.log(`raised: ${String(outcomes.raised)}`);
console.log(`all others done: ${String(outcomes.done === probe.hits - outcomes.raised)}`);
