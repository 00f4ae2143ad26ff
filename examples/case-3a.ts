// Case 3a: a handler that is called only if the probed instruction raised an exception.
import { launch } from "../src/index.js"; // elsewhere: from "trapline"
import { faultingLoad } from "./faulting-load.js";

// For the program: perl then runs its handlers of signals at once.
process.env["PERL_SIGNALS"] = "unsafe";
const command = ["perl", "examples/dodgy.pl"];
const offset = await faultingLoad(command);
await using target = await launch({ command });
await target.registerKprobe({
  symbolName: "strlen",
  module: "libc.so.6",
  offset,
  postFaultHandler(_probe, _registers, k, fault) {
    k.printf("%s at %d\n", fault.name, fault.address);
  },
});
await target.run();
