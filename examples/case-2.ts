// Case 2: an unexpected exception in a pre-handler, which has a bug. The handler is cancelled, what it
// held is released, and its faultHandler puts out an explanatory message.
import { launch } from "../src/index.js"; // elsewhere: from "trapline"

// For the program: perl then runs its handlers of signals at once.
process.env["PERL_SIGNALS"] = "unsafe";
await using target = await launch({ command: ["perl", "examples/dodgy.pl"] });
let locked = false;
const probe = await target.registerKprobe({
  symbolName: "strlen",
  module: "libc.so.6",
  preHandler(_probe, registers, k) {
    locked = true;
    const unlock = k.hold("the lock", () => void (locked = false));
    k.memory.string(registers.rdi);
    unlock();
  },
  faultHandler(_probe, fault, held) {
    console.log(`cancelled: ${fault.message}; freed ${held.join(", ")}`);
  },
});
await target.run();
console.log(`handlers cancelled: ${String(probe.handlerFaults)}, locked: ${String(locked)}`);
