// Case 5: an unexpected exception in a post-handler; as case 2.
import { launch } from "../src/index.js"; // elsewhere: from "trapline"

// For the program: perl then runs its handlers of signals at once.
process.env["PERL_SIGNALS"] = "unsafe";
await using target = await launch({ command: ["perl", "examples/dodgy.pl"] });
const probe = await target.registerKprobe({
  symbolName: "strlen",
  module: "libc.so.6",
  postHandler(_probe, registers, k) {
    k.hold("the lock", () => undefined);
    k.memory.string(registers.rdi);
  },
  faultHandler(_probe, fault, held) {
    console.log(`cancelled: ${fault.message}; freed ${held.join(", ")}`);
  },
});
await target.run();
console.log(`handlers cancelled: ${String(probe.handlerFaults)}`);
