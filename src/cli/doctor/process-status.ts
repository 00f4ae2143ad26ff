/** Bits of the capability sets in /proc/PID/status. include/uapi/linux/capability.h. */
const CAPABILITIES = { CAP_SYS_PTRACE: 19n } as const;

/** The fields of a /proc/PID/status that decide what a process may do. proc_pid_status(5). */
export class ProcessStatus {
  private readonly fields: ReadonlyMap<string, string>;

  constructor(text: string) {
    this.fields = new Map(
      [...text.matchAll(/^([^:\n]+):[ \t]*(.*)$/gm)].map(([, name = "", value = ""]) => [name, value.trim()]),
    );
  }

  get(name: string): string | undefined {
    return this.fields.get(name);
  }

  has(capability: keyof typeof CAPABILITIES): boolean {
    const effective = this.fields.get("CapEff");
    if (effective === undefined || !/^[0-9a-f]+$/.test(effective)) return false;
    return ((BigInt(`0x${effective}`) >> CAPABILITIES[capability]) & 1n) === 1n;
  }

  /** The effective user is root, in its own user name space at least. */
  get isRoot(): boolean {
    return this.fields.get("Uid")?.split(/\s+/)[1] === "0";
  }
}
