// Case 1: an expected exception in a pre-handler. The trace record is written, whatever could be read.
import { launch } from "../src/index.js"; // elsewhere: from "trapline"

// For the program: perl then runs its handlers of signals at once.
process.env["PERL_SIGNALS"] = "unsafe";
await using target = await launch({ command: ["perl", "examples/dodgy.pl"] });
let dodgy = 0;
await target.registerKprobe({
  symbolName: "strlen",
  module: "libc.so.6",
  preHandler(_probe, registers, k) {
    let text = "";
    if (k.ksetjmp(() => void (text = k.memory.string(registers.rdi))) !== 0) {
      k.printf("yes, that was dodgy: %s\n", k.fault);
      dodgy++;
    } else if (text === "first" || text === "second") k.record({ text });
  },
});
await target.run();
console.log(`dodgy: ${String(dodgy)}`);
