import { StubError } from "../../protocol/errors.js";
import type { StopReply } from "../../protocol/stop-reply.js";
import { Machine, type Vcpu } from "../machine.js";

/** How long a running kernel may take to come to a breakpoint of ours; milliseconds. */
const HEARD_WITHIN = 10_000;
/** `C09`: the exception that it stopped for is the kernel's own to deal with. kernel/debug/gdbstub.c. */
const PASS = 9;

/**
 * A machine whose stub is part of its kernel. It cannot be asked to stop: while the kernel runs, nobody there
 * looks at the line. It stops at its breakpoints, of which one is met again and again (see Pulse).
 */
export class KgdbMachine extends Machine {
  /** The kernel itself is to deal with the exception that it stopped for. */
  passesOn = false;

  /** What a stop means may be that an instruction is executed first: then it runs again. */
  override stand(): void {
    while (this.isRunning) super.stand();
  }

  override halt(): StopReply | undefined {
    if (!this.isRunning) return undefined;
    const reply = this.wait(performance.now() + HEARD_WITHIN);
    if (reply === undefined)
      throw new StubError(
        "silent",
        `${this.client.name}: the kernel does not stop, and KGDB hears nothing while the kernel runs`,
        { remedy: "Stop it there: echo g > /proc/sysrq-trigger; then connect again." },
      );
    return reply;
  }

  override writeBack(vcpu: Vcpu): void {
    const { actual, wanted } = vcpu;
    if (actual.sp !== wanted.sp) {
      wanted.sp = actual.sp;
      // dbg_set_reg() of arch/x86/kernel/kgdb.c leaves it out, and says nothing.
      throw new StubError("unsupported", `${this.client.name}: KGDB does not change a stack pointer`, {
        remedy: "A handler has written rsp; behind QEMU's stub it may.",
      });
    }
    super.writeBack(vcpu);
  }

  protected override setGoing(only: Vcpu | undefined): void {
    if (!this.passesOn) {
      super.setGoing(only);
      return;
    }
    this.passesOn = false;
    this.client.pipeline.flush();
    this.client.resume([{ thread: undefined, how: "continue", signal: PASS }]);
  }
}
