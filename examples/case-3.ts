// Case 3: an exception of the probed instruction. The post-handler is not called for it, so there is one
// record for each load that was done, however often it was tried.
import { launch } from "../src/index.js"; // elsewhere: from "trapline"
import { faultingLoad } from "./faulting-load.js";

// For the program: perl then runs its handlers of signals at once.
process.env["PERL_SIGNALS"] = "unsafe";
const command = ["perl", "examples/dodgy.pl"];
const offset = await faultingLoad(command);
await using target = await launch({ command });
let done = 0;
const probe = await target.registerKprobe({
  symbolName: "strlen",
  module: "libc.so.6",
  offset,
  postHandler() {
    done++;
  },
});
await target.run();
console.log(`instruction faults: ${String(probe.instructionFaults)}`);
console.log(`a record for each load that was done: ${String(done === probe.completed)}`);
