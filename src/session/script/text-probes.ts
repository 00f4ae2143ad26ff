import { MemoryFault, ProbeRefused, TargetGone } from "../../base/errors.js";
import { type Address, addressOf } from "../../base/address.js";
import { RETURNED } from "../../probes/outcome.js";
import type { Hit, Probe } from "../../probes/probe.js";
import { ReturnProbe } from "../../probes/return-probe.js";
import type { Memory, SpaceId, ThreadId } from "../../targets/target.js";
import type { Engine } from "../engine.js";
import type { CodeImage, Found, TextPlace, Waiting } from "../images.js";
import type { TextPoint } from "../points/point.js";

/** A probe on instructions, as it is spread over the images of the target. */
export interface TextProbe {
  readonly probe: Probe;
  readonly point: TextPoint;
  readonly returns: ReturnProbe | undefined;
  /** The codes that it is for, by their keys; undefined: all that the point matches. */
  readonly codes: ReadonlySet<string> | undefined;
  /** Something of the target was what the point names, armed or not. */
  matched: boolean;
  /** Places armed so far, ever; those that a fork copied are the same places. */
  armed: number;
  /** Places that could not be, by reason. */
  readonly refused: Map<string, number>;
  /** Places that were disarmed after MAXHITS hits. */
  exhausted: number;
}

export interface TextProbeOptions {
  /** The codes that it is for, by their keys; undefined: all that the point matches. */
  readonly codes?: ReadonlySet<string> | undefined;
  /** What a probe on the return of functions keeps of their entries. */
  readonly save?: ((hit: Hit) => unknown) | undefined;
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

/** What was done for a probe in an image. */
interface Tried {
  /** Whether it went well or not. */
  readonly places: Set<Address>;
  /** IFUNCs that have not selected an implementation yet. */
  waiting: readonly Waiting[];
}

/** Arms probes on instructions wherever their points match, now and as libraries come. */
export class TextProbes {
  readonly all: TextProbe[] = [];
  private readonly tried = new WeakMap<CodeImage, Map<TextProbe, Tried>>();
  /** Fires when an IFUNC's resolver returns: what it returns is then called. */
  private readonly selections: ReturnProbe;

  constructor(
    private readonly engine: Engine,
    private readonly listener: ArmingListener,
    /** Hits of one place after which it is disarmed; 0: never. */
    private readonly maxHits: number,
  ) {
    const probe = engine.core.register({
      name: "IFUNC selections",
      internal: true,
      pre: (hit) => {
        this.onSelection(hit);
        return RETURNED;
      },
    });
    this.selections = new ReturnProbe(engine.core, probe);
  }

  add(probe: Probe, point: TextPoint, { codes, save }: TextProbeOptions): TextProbe {
    const returns =
      point.kind === "function" && point.where === "return"
        ? new ReturnProbe(this.engine.core, probe, save)
        : undefined;
    const added: TextProbe = {
      probe,
      point,
      codes,
      returns,
      matched: false,
      armed: 0,
      refused: new Map(),
      exhausted: 0,
    };
    this.all.push(added);
    return added;
  }

  /** Arms what the images of a space now offer. */
  arm(space: SpaceId): void {
    const { images } = this.engine;
    this.armTasks(() =>
      this.all
        .filter((each) => each.probe.armed)
        .flatMap((each) => images.candidates(each.point, space).map((found) => ({ each, ...found })))
        .filter(({ each, image }) => this.tried.get(image)?.has(each) !== true)
        .flatMap(({ each, image, find }) => this.tasksFor(each, image, find)),
    );
  }

  /** IFUNCs whose selection can be read now, and could not be when their image came. */
  armSelected(space: SpaceId): void {
    const { images } = this.engine;
    this.armTasks(() =>
      this.all
        .filter((each) => each.probe.armed)
        .flatMap((each) => images.candidates(each.point, space).map(({ image }) => ({ each, image })))
        .flatMap(({ each, image }) => {
          const waiting = this.tried.get(image)?.get(each)?.waiting ?? [];
          return waiting.length === 0 ? [] : this.tasksFor(each, image, (memory) => lookAt(waiting, memory));
        }),
    );
  }

  /** A fork copied the images, and what is armed in them. */
  threadCopied(parent: ThreadId, child: ThreadId, space: SpaceId): void {
    for (const returns of this.returnProbes()) returns.threadCopied(parent, child, space);
    const { images, target } = this.engine;
    for (const { original, copy } of images.copies(target.spaceOf(parent), space)) {
      const tried = this.tried.get(original);
      if (tried === undefined) continue;
      const copies = [...tried].map(
        ([each, { places, waiting }]) => [each, { places: new Set(places), waiting }] as const,
      );
      this.tried.set(copy, new Map(copies));
    }
  }

  threadGone(thread: ThreadId): void {
    for (const returns of this.returnProbes()) returns.threadGone(thread);
  }

  /** The function that a return probe's hit returns from. */
  returningFrom(probe: Probe): Address | undefined {
    return this.all.find((each) => each.probe === probe)?.returns?.returningFrom;
  }

  private *returnProbes(): Generator<ReturnProbe> {
    yield this.selections;
    for (const { returns } of this.all) if (returns !== undefined) yield returns;
  }

  private armTasks(find: () => readonly Task[]): void {
    const progress = this.listener.arming();
    try {
      const tasks = find();
      tasks.forEach((task, index) => {
        progress.advance(index, tasks.length);
        this.armAt(task);
      });
    } finally {
      progress.end();
    }
  }

  /** What is to be done of what was found, and was not tried before. */
  private tasksFor(each: TextProbe, image: CodeImage, find: (memory: Memory) => Found): Task[] {
    const tried = this.triedIn(each, image);
    try {
      const { places, waiting } = find(this.engine.target.memory(image.space));
      tried.waiting = waiting;
      if (places.length + waiting.length > 0) each.matched = true;
      for (const { resolver } of waiting) this.awaitSelection(image, resolver);
      return places
        .filter(({ address, code = "" }) => !tried.places.has(address) && each.codes?.has(code) !== false)
        .map((place) => ({ each, place }));
    } catch (error) {
      this.refuse(each, error);
      return [];
    }
  }

  /** Its resolver runs before anybody can call it: at start, at dlopen, at the first call or in dlsym. */
  private awaitSelection(image: CodeImage, resolver: Address): void {
    try {
      this.selections.arm(image.space, resolver);
    } catch (error) {
      // Then the selection is read where the dynamic linker put it, when it next says that it is done.
      if (!(error instanceof ProbeRefused || error instanceof MemoryFault || error instanceof TargetGone))
        throw error;
    }
  }

  private onSelection(hit: Hit): void {
    const resolver = this.selections.returningFrom;
    const selected = addressOf(hit.registers.read("rax"));
    if (resolver === undefined || selected === undefined) return;
    const image = this.engine.images.at(hit.space, resolver);
    if (image === undefined || this.engine.images.at(hit.space, selected) !== image) return;
    for (const [each, tried] of this.tried.get(image) ?? []) {
      const found = tried.waiting.find((other) => other.resolver === resolver);
      if (found === undefined) continue;
      tried.waiting = tried.waiting.filter((other) => other !== found);
      if (each.probe.armed && !tried.places.has(selected))
        this.armAt({ each, place: found.placeAt(selected) });
    }
  }

  private triedIn(each: TextProbe, image: CodeImage): Tried {
    let byProbe = this.tried.get(image);
    if (byProbe === undefined) {
      byProbe = new Map();
      this.tried.set(image, byProbe);
    }
    let tried = byProbe.get(each);
    if (tried === undefined) {
      tried = { places: new Set(), waiting: [] };
      byProbe.set(each, tried);
    }
    return tried;
  }

  private armAt({ each, place }: Task): void {
    this.triedIn(each, place.image).places.add(place.address);
    try {
      place.image.refuse(place.address);
      const options = { fileByte: place.fileByte };
      if (each.returns !== undefined) each.returns.arm(place.image.space, place.address, options);
      else {
        const accepts = this.maxHits === 0 ? undefined : this.untilExhausted(each, place.address);
        this.engine.core.arm(each.probe, place.image.space, place.address, { ...options, accepts });
      }
      each.armed++;
      this.listener.armed(each, place);
    } catch (error) {
      this.refuse(each, error);
    }
  }

  /** A copy of the place in a forked child takes part in the same count. */
  private untilExhausted(each: TextProbe, address: Address): (hit: Hit) => boolean {
    let left = this.maxHits;
    return (hit) => {
      if (left > 0) {
        left--;
        return true;
      }
      if (left === 0) each.exhausted++;
      left = -1;
      this.engine.core.disarmPlace(each.probe, hit.space, address);
      return false;
    };
  }

  private refuse(each: TextProbe, error: unknown): void {
    if (error instanceof TargetGone) return;
    if (!(error instanceof ProbeRefused || error instanceof MemoryFault)) throw error;
    each.matched = true;
    const reason = error instanceof ProbeRefused ? error.reason : "unmapped";
    each.refused.set(reason, (each.refused.get(reason) ?? 0) + 1);
    this.listener.refused(each, error.message);
  }
}

/** Those of which the implementation can be read now, and those still to wait for. */
function lookAt(waiting: readonly Waiting[], memory: Memory): Found {
  const places = new Map<Address, TextPlace>();
  const left: Waiting[] = [];
  for (const each of waiting) {
    const place = each.look(memory);
    if (place === undefined) left.push(each);
    else if (!places.has(place.address)) places.set(place.address, place);
  }
  return { places: [...places.values()], waiting: left };
}
