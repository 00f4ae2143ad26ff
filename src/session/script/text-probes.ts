import { MemoryFault, ProbeRefused, TargetGone } from "../../base/errors.js";
import type { Address } from "../../base/address.js";
import type { Probe } from "../../probes/probe.js";
import { ReturnProbe } from "../../probes/return-probe.js";
import type { SpaceId, ThreadId } from "../../targets/target.js";
import type { Engine } from "../engine.js";
import { refuseHarm } from "../points/harm.js";
import { imagesOf, placesIn, type ProgramNames, type TextPlace } from "../points/places.js";
import type { TextPoint } from "../points/point.js";
import type { Image } from "../programs.js";

/** A probe on instructions, as it is spread over the images of the target. */
export interface TextProbe {
  readonly probe: Probe;
  readonly point: TextPoint;
  readonly returns: ReturnProbe | undefined;
  /** Places armed so far, ever; those that a fork copied are the same places. */
  armed: number;
  /** Places that could not be, by reason. */
  readonly refused: Map<string, number>;
}

/** Who is told how the arming goes. */
export interface ArmingListener {
  armed(each: TextProbe, place: TextPlace): void;
  /** @param message says where and why */
  refused(each: TextProbe, message: string): void;
  /** Something longer begins: called once for each time that images come. */
  arming(): ArmingProgress;
}

export interface ArmingProgress {
  /** Called before each place. */
  advance(done: number, total: number): void;
  end(): void;
}

interface Task {
  readonly each: TextProbe;
  readonly place: TextPlace;
}

/** Arms probes on instructions wherever their points match, now and as libraries come. */
export class TextProbes {
  readonly all: TextProbe[] = [];
  /** What was done already, whether it went well or not. */
  private readonly tried = new WeakMap<Image, Map<TextProbe, Set<Address>>>();

  constructor(
    private readonly engine: Engine,
    private readonly names: ProgramNames,
    private readonly listener: ArmingListener,
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
    this.armWhere(space, (each, image) => this.tried.get(image)?.has(each) !== true);
  }

  /** IFUNCs whose implementation was not selected when their image came. */
  armSelected(space: SpaceId): void {
    this.armWhere(space, ({ point }) => point.kind === "function");
  }

  /** A fork copied the images, and what is armed in them. */
  threadCopied(parent: ThreadId, child: ThreadId, space: SpaceId): void {
    for (const { returns } of this.all) returns?.threadCopied(parent, child, space);
    const originals = this.engine.programs.images(this.engine.target.spaceOf(parent));
    for (const copy of this.engine.programs.images(space)) {
      const original = originals.find((image) => image.path === copy.path && image.bias === copy.bias);
      const tried = original === undefined ? undefined : this.tried.get(original);
      if (tried !== undefined)
        this.tried.set(copy, new Map([...tried].map(([each, places]) => [each, new Set(places)])));
    }
  }

  threadGone(thread: ThreadId): void {
    for (const { returns } of this.all) returns?.threadGone(thread);
  }

  /** The function that a return probe's hit returns from. */
  returningFrom(probe: Probe): Address | undefined {
    return this.all.find((each) => each.probe === probe)?.returns?.returningFrom;
  }

  private armWhere(space: SpaceId, wanted: (each: TextProbe, image: Image) => boolean): void {
    const images = this.engine.programs.images(space);
    const pairs = this.all
      .filter((each) => each.probe.armed)
      .flatMap((each) => imagesOf(each.point, images, this.names).map((image) => ({ each, image })))
      .filter(({ each, image }) => wanted(each, image));
    if (pairs.length === 0) return;
    const progress = this.listener.arming();
    try {
      const tasks = pairs.flatMap(({ each, image }) => this.tasksIn(each, image, images));
      tasks.forEach((task, index) => {
        progress.advance(index, tasks.length);
        this.armAt(task);
      });
    } finally {
      progress.end();
    }
  }

  /** Places of an image that were not tried before. */
  private tasksIn(each: TextProbe, image: Image, images: readonly Image[]): Task[] {
    const tried = this.triedIn(each, image);
    try {
      const places = placesIn(each.point, image, images, this.engine.target.memory(image.space));
      return places.filter(({ address }) => !tried.has(address)).map((place) => ({ each, place }));
    } catch (error) {
      this.refuse(each, error);
      return [];
    }
  }

  private triedIn(each: TextProbe, image: Image): Set<Address> {
    let byProbe = this.tried.get(image);
    if (byProbe === undefined) {
      byProbe = new Map();
      this.tried.set(image, byProbe);
    }
    let places = byProbe.get(each);
    if (places === undefined) {
      places = new Set();
      byProbe.set(each, places);
    }
    return places;
  }

  private armAt({ each, place }: Task): void {
    this.triedIn(each, place.image).add(place.address);
    try {
      refuseHarm(place.image, place.address);
      const options = { fileByte: place.fileByte };
      if (each.returns !== undefined) each.returns.arm(place.image.space, place.address, options);
      else this.engine.core.arm(each.probe, place.image.space, place.address, options);
      each.armed++;
      this.listener.armed(each, place);
    } catch (error) {
      this.refuse(each, error);
    }
  }

  private refuse(each: TextProbe, error: unknown): void {
    if (error instanceof TargetGone) return;
    if (!(error instanceof ProbeRefused || error instanceof MemoryFault)) throw error;
    const reason = error instanceof ProbeRefused ? error.reason : "unmapped";
    each.refused.set(reason, (each.refused.get(reason) ?? 0) + 1);
    this.listener.refused(each, error.message);
  }
}
