// Case 3a implicitly. Scripts say it by mention of `faulted()`; here one function is both handlers, and
// asks what it is called for. Exceptions that will be retried are of no interest to it.
import { launch, type Kprobe } from "../src/index.js"; // elsewhere: from "trapline"
import { faultingLoad } from "./faulting-load.js";

// For the program: perl then runs its handlers of signals at once.
process.env["PERL_SIGNALS"] = "unsafe";
const command = ["perl", "examples/dodgy.pl"];
const offset = await faultingLoad(command);
await using target = await launch({ command });
let arrivals = 0;
let raised = 0;
const handler: NonNullable<Kprobe["preHandler"]> = (_probe, _registers, _k, hit) => {
  if (hit.fault !== undefined) raised++;
  else arrivals++;
};
const probe = await target.registerKprobe({
  symbolName: "strlen",
  module: "libc.so.6",
  offset,
  preHandler: handler,
  postFaultHandler: (registered, registers, k, _fault, hit) => handler(registered, registers, k, hit),
});
await target.run();
console.log(`raised: ${String(raised)}`);
console.log(`each arrival was seen: ${String(arrivals === probe.hits)}`);
