/** How a machine came to its end. */
export type MachineEnd =
  /** We ended it. */
  | { readonly kind: "ended" }
  | { readonly kind: "panicked"; readonly message: string }
  | { readonly kind: "powered-off" }
  | { readonly kind: "restarted" }
  /** QEMU itself ended. */
  | { readonly kind: "failed"; readonly message: string };

/** As a sentence's end: "the guest's kernel panicked: …". */
export function machineEndText(end: MachineEnd): string {
  switch (end.kind) {
    case "ended":
      return "the machine was ended";
    case "panicked":
      return `the guest's kernel panicked: ${end.message}`;
    case "powered-off":
      return "the guest powered the machine off";
    case "restarted":
      return "the guest restarted the machine";
    case "failed":
      return `QEMU ended: ${end.message}`;
  }
}

/** What a kernel says last of all, on its console. kernel/panic.c. */
export function panicMessage(console: string): string | undefined {
  return /Kernel panic - not syncing: ([^\r\n]*)/.exec(console)?.[1];
}
