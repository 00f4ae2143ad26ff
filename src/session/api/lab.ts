import { standardError, standardOutput } from "../../output/standard-streams.js";
import type { DescriptorWriter } from "../../output/descriptor-writer.js";
import type { GuestCommand } from "../../targets/lab/guest-command.js";
import { bootLab, type LabMachine, type LabOptions } from "../../targets/lab/machine.js";
import type { ExitStatus } from "../../targets/target.js";
import { type Guest, type TargetOptions, TracedTarget } from "./traced-target.js";

export interface LabTargetOptions
  extends TargetOptions, Pick<LabOptions, "kernel" | "smp" | "memory" | "append" | "modules" | "files"> {
  /** For the guest's shell. It stands before its exec until {@link TracedTarget.run} or `go`; the target ends with it. */
  readonly command?: string;
}

/**
 * Boots a Linux kernel in QEMU, which stands still until {@link TracedTarget.run}. Without `kernel` it is
 * Debian's, fetched once. Disposing ends the machine.
 *
 * @throws TargetError what is missing for it, or how the guest ended before it was ready
 */
export async function lab(options: LabTargetOptions = {}): Promise<TracedTarget> {
  const machine = await bootLab(options);
  try {
    const command =
      options.command === undefined
        ? undefined
        : await machine.load(options.command, {
            output: passingOn(standardOutput()),
            error: passingOn(standardError()),
          });
    const start = {
      kind: "kernel",
      gdb: `unix:${machine.stub}`,
      image: machine.kernel,
      held: true,
      process: command?.pid ?? 0,
    } as const;
    return await TracedTarget.start(start, options, guestOf(machine, command));
  } catch (error) {
    await machine.end();
    throw error;
  }
}

function guestOf(machine: LabMachine, command: GuestCommand | undefined): Guest {
  const ended: Promise<ExitStatus | undefined> =
    command === undefined
      ? new Promise(() => undefined)
      : command.ended.then(
          (status) => ({ kind: "exited", status }) as const,
          // The machine ended first: the stub says so, too.
          () => undefined,
        );
  return {
    ended,
    start: () => command?.start(),
    end: async () => machine.end(),
  };
}

function passingOn(writer: DescriptorWriter): (bytes: Uint8Array) => void {
  return (bytes) => {
    writer.write(Buffer.from(bytes).toString("latin1"));
    writer.flush();
  };
}
