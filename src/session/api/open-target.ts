import { TargetError } from "../../base/errors.js";
import { RETURNED } from "../../probes/outcome.js";
import { LinuxTarget } from "../../targets/linux/target.js";
import { KernelImage } from "../../symbols/kernel/image.js";
import { CONTINUE } from "../../targets/target.js";
import type { Engine } from "../engine.js";
import type { Tracee } from "../images.js";
import { attachKernel } from "../kernel/attach.js";
import { openStubProgram } from "../process/stub-program.js";
import { ProcessTracee } from "../process/tracee.js";
import type { EngineStart } from "./protocol.js";

/** A target that the caller asked for. */
export interface OpenedTarget {
  readonly tracee: Tracee;
  /** Its first process, as the caller is told; 0: none in particular. */
  readonly process: number;
  /** When this process ends, the target's status is its; undefined: any process that it says to have ended. */
  readonly first: number | undefined;
  /** How long it can be waited for without a look at what the caller asks; milliseconds. */
  readonly longestWait: number;
  /**
   * Calls `held` where the caller has the first word, which may be later, and with the target standing
   * meanwhile; or at once, and the target runs.
   */
  begin(engine: Engine, held: (stands: boolean) => void): void;
  /** Nothing of it remains with this thread, once it was left. */
  isLeft(): boolean;
  /** After the engine has left it. */
  close(): void;
}

export interface OpenOptions {
  readonly doorbell: SharedArrayBuffer;
  readonly onNotice: (text: string) => void;
}

/** Of a target that wakes up when the doorbell rings. */
const WOKEN = 1000;
/** Of one that cannot be woken while it is waited for. */
const UNWOKEN = 20;

/** @throws TargetError the target cannot be had */
export function openTarget(start: EngineStart, options: OpenOptions): OpenedTarget {
  switch (start.kind) {
    case "launch":
    case "attach":
      return openProcess(start, options);
    case "stub-program":
      return openBehindStub(start.gdb, options);
    case "kernel":
      return openKernel(start, options);
  }
}

function openProcess(
  start: Extract<EngineStart, { kind: "launch" | "attach" }>,
  options: OpenOptions,
): OpenedTarget {
  const target =
    start.kind === "launch"
      ? LinuxTarget.launch(start.command, options)
      : LinuxTarget.attach(start.pid, options);
  const tracee = new ProcessTracee(target);
  const [thread] = target.threads();
  if (thread === undefined) throw new TargetError("the target ended before it could be probed");
  const { process } = target.facts(thread);
  return {
    tracee,
    process,
    first: process,
    longestWait: WOKEN,
    begin: (engine, held) => {
      if (start.kind === "attach") held(false);
      else holdAtEntry(engine, tracee, held);
    },
    // A program that was launched stays a child, and what did not stop in time is let go by the end of this thread.
    isLeft: () => start.kind === "attach" && target.isLeft,
    close: () => undefined,
  };
}

function openBehindStub(where: string, { doorbell }: OpenOptions): OpenedTarget {
  const target = openStubProgram(where, doorbell);
  const tracee = new ProcessTracee(target);
  const [thread] = target.threads();
  if (thread === undefined) throw new TargetError("the target ended before it could be probed");
  const { process } = target.facts(thread);
  return {
    tracee,
    process,
    first: process,
    longestWait: WOKEN,
    begin: (engine, held) => {
      if (target.isHeld) holdAtEntry(engine, tracee, held);
      else held(false);
    },
    // It is nobody's child here, and nobody here traces it.
    isLeft: () => true,
    close: () => undefined,
  };
}

function openKernel(
  start: Extract<EngineStart, { kind: "kernel" }>,
  { onNotice }: OpenOptions,
): OpenedTarget {
  const image = KernelImage.open(start.image);
  try {
    const { tracee } = attachKernel(start.gdb, image, { onNotice });
    return {
      tracee,
      process: start.process,
      first: undefined,
      longestWait: UNWOKEN,
      begin: (_engine, held) => {
        held(start.held);
      },
      isLeft: () => true,
      close: () => {
        image[Symbol.dispose]();
      },
    };
  } catch (error) {
    image[Symbol.dispose]();
    throw error;
  }
}

/**
 * A launched program is held at its entry point: its libraries are there to be probed, its own
 * code has not begun. The place to hold it is a handler, so the core needs no way of its own.
 */
function holdAtEntry(engine: Engine, tracee: ProcessTracee, held: (stands: boolean) => void): void {
  const { core, target } = engine;
  const [thread] = target.threads();
  if (thread === undefined) throw new TargetError("the target ended before it could be probed");
  const space = target.spaceOf(thread);
  const entry = tracee.entryOf(space);
  if (entry === undefined)
    throw new TargetError("the launched program's image was not found in its memory map");
  const probe = core.register({
    name: "entry point",
    internal: true,
    pre: () => {
      core.unregister(probe);
      held(true);
      return RETURNED;
    },
  });
  core.arm(probe, space, entry);
  target.resume(thread, CONTINUE);
}
