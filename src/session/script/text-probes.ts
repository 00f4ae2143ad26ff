import { MemoryFault, ProbeRefused, TargetGone } from "../../base/errors.js";
import type { Address } from "../../base/address.js";
import type { Probe } from "../../probes/probe.js";
import { ReturnProbe } from "../../probes/return-probe.js";
import type { SpaceId, ThreadId } from "../../targets/target.js";
import type { Engine } from "../engine.js";
import { imagesOf, placesIn, type ProgramNames, refuseHarm, type TextPlace } from "../points/places.js";
import type { TextPoint } from "../points/point.js";
import type { Image } from "../programs.js";

/** A probe on instructions, as it is spread over the images of the target. */
export interface TextProbe {
  readonly probe: Probe;
  readonly point: TextPoint;
  readonly returns: ReturnProbe | undefined;
  /** Places armed so far, ever. */
  armed: number;
  /** Places that could not be, by reason. */
  readonly refused: Map<string, number>;
}

/** Arms probes on instructions wherever their points match, now and as libraries come. */
export class TextProbes {
  readonly all: TextProbe[] = [];
  /** What is done already: one entry for each probe and image. */
  private readonly done = new WeakMap<Image, Set<TextProbe>>();

  constructor(
    private readonly engine: Engine,
    private readonly names: ProgramNames,
    private readonly say: (line: string) => void,
  ) {}

  add(probe: Probe, point: TextPoint): TextProbe {
    const returns =
      point.kind === "function" && point.where === "return"
        ? new ReturnProbe(this.engine.core, probe)
        : undefined;
    const added: TextProbe = { probe, point, returns, armed: 0, refused: new Map() };
    this.all.push(added);
    return added;
  }

  /** Arms what the images of a space now offer. */
  arm(space: SpaceId): void {
    const images = this.engine.programs.images(space);
    for (const each of this.all) {
      if (!each.probe.armed) continue;
      for (const image of imagesOf(each.point, images, this.names)) this.armIn(each, image, images);
    }
  }

  /** IFUNCs whose implementation was not selected when their image came. */
  armSelected(space: SpaceId): void {
    const images = this.engine.programs.images(space);
    for (const image of images) this.done.delete(image);
    this.arm(space);
  }

  threadCopied(parent: ThreadId, child: ThreadId, space: SpaceId): void {
    for (const { returns } of this.all) returns?.threadCopied(parent, child, space);
  }

  threadGone(thread: ThreadId): void {
    for (const { returns } of this.all) returns?.threadGone(thread);
  }

  /** The function that a return probe's hit returns from. */
  returningFrom(probe: Probe): Address | undefined {
    return this.all.find((each) => each.probe === probe)?.returns?.returningFrom;
  }

  private armIn(each: TextProbe, image: Image, images: readonly Image[]): void {
    let done = this.done.get(image);
    if (done?.has(each) === true) return;
    if (done === undefined) {
      done = new Set();
      this.done.set(image, done);
    }
    done.add(each);
    try {
      for (const place of placesIn(each.point, image, images, this.engine.target.memory(image.space)))
        this.armAt(each, place);
    } catch (error) {
      this.refuse(each, error);
    }
  }

  private armAt(each: TextProbe, place: TextPlace): void {
    try {
      refuseHarm(place);
      const options = { fileByte: place.fileByte };
      if (each.returns !== undefined) each.returns.arm(place.image.space, place.address, options);
      else this.engine.core.arm(each.probe, place.image.space, place.address, options);
      each.armed++;
    } catch (error) {
      this.refuse(each, error);
    }
  }

  private refuse(each: TextProbe, error: unknown): void {
    if (error instanceof TargetGone) return;
    if (!(error instanceof ProbeRefused || error instanceof MemoryFault)) throw error;
    const reason = error instanceof ProbeRefused ? error.reason : "unmapped";
    each.refused.set(reason, (each.refused.get(reason) ?? 0) + 1);
    this.say(`${each.probe.definition.name}: ${error.message}`);
  }
}
