import { systemCallSites } from "../../arch/x86_64/system-call-sites.js";
import { type Address, type AddressRange } from "../../base/address.js";
import { MemoryFault, ProbeRefused, TargetError, TargetGone } from "../../base/errors.js";
import type { ProbeCore } from "../../probes/core.js";
import { RETURNED } from "../../probes/outcome.js";
import type { Probe } from "../../probes/probe.js";
import type { ElfImage } from "../../symbols/elf/image.js";
import { frameAt } from "../../symbols/elf/frames.js";
import { loadedAt, type Vaddr } from "../../symbols/vaddr.js";
import type { SignalCalls, SpaceId, Target } from "../../targets/target.js";
import type { Image } from "./image.js";

/**
 * Tells a target of the system calls that it must know of to keep signals as they are, by a probe
 * of the engine's own on each instruction that makes one.
 */
export class SignalCallProbes {
  private readonly probe: Probe;
  private readonly sites = new WeakMap<ElfImage, readonly Vaddr[]>();
  private readonly done = new WeakSet<Image>();
  private readonly behind: Probe;
  /** Whether the hit that is under way is to be stopped behind its instruction, too. */
  private changed = false;
  private readonly calls: SignalCalls | undefined;

  constructor(
    target: Target,
    private readonly core: ProbeCore,
  ) {
    this.calls = target.capabilities.signalCalls;
    this.probe = core.register({
      name: "calls that change signals",
      internal: true,
      pre: (hit) => {
        this.changed = this.calls?.about(hit.thread) === true;
        return RETURNED;
      },
    });
    this.behind = core.register({
      name: "behind calls that change signals",
      internal: true,
      post: (hit) => {
        this.calls?.done(hit.thread);
        return RETURNED;
      },
    });
  }

  /** Arms what the images of a space have and had not before. */
  arm(space: SpaceId, images: readonly Image[]): void {
    if (this.calls === undefined) return;
    const fresh = images.filter((image) => !this.done.has(image));
    for (const image of fresh) {
      this.done.add(image);
      // The vDSO makes none of these calls, and a copy of it for each space is no place to look.
      if (image.path.startsWith("[")) continue;
      for (const site of this.sitesOf(image.elf, this.calls.numbers))
        this.armAt(space, loadedAt(site, image.bias));
    }
    if (fresh.length > 0) this.calls.begin(space);
  }

  private armAt(space: SpaceId, address: Address): void {
    try {
      this.core.arm(this.probe, space, address);
      // In this order: its turn comes behind the other's, in the same hit.
      this.core.arm(this.behind, space, address, { accepts: () => this.changed });
    } catch (error) {
      // That one call is then not followed; docs/safety.md says what that means.
      if (!(error instanceof ProbeRefused || error instanceof MemoryFault || error instanceof TargetGone))
        throw error;
    }
  }

  private sitesOf(elf: ElfImage, numbers: ReadonlySet<number>): readonly Vaddr[] {
    const known = this.sites.get(elf);
    if (known !== undefined) return known;
    const found: Vaddr[] = [];
    const bodyOf = (address: Address): AddressRange | undefined => {
      const frame = frameAt(elf.frameDescriptions(), address as number as Vaddr);
      if (frame === undefined) return undefined;
      const start = frame.start as number;
      return { start: start as Address, end: (start + frame.length) as Address };
    };
    try {
      for (const { start, end } of elf.code) {
        const text = elf.bytesAt(start, end - start);
        // Addresses of the file, not of memory: the arithmetic is the same.
        const sites = systemCallSites(text, start as number as Address, numbers, bodyOf);
        found.push(...sites.map((site) => site as number as Vaddr));
      }
    } catch (error) {
      if (!(error instanceof TargetError)) throw error; // cut short: what was found holds
    }
    this.sites.set(elf, found);
    return found;
  }
}
