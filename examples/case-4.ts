// Case 4: an expected exception in a post-handler; as case 1.
import { launch } from "../src/index.js"; // elsewhere: from "trapline"

// For the program: perl then runs its handlers of signals at once.
process.env["PERL_SIGNALS"] = "unsafe";
await using target = await launch({ command: ["perl", "examples/dodgy.pl"] });
await target.registerKprobe({
  symbolName: "strlen",
  module: "libc.so.6",
  postHandler(_probe, registers, k) {
    if (k.ksetjmp(() => k.memory.string(registers.rdi)) !== 0) k.printf("yes, that was dodgy: %s\n", k.fault);
  },
});
await target.run();
