import { addressOf } from "../../base/address.js";
import type { Scene, SceneSymbol } from "../../handlers/js/scene.js";
import { NO_THREAD } from "../../probes/handler-calls.js";
import type { Hit } from "../../probes/probe.js";
import type { Engine } from "../engine.js";
import type { SceneFacts } from "../images.js";
import { isReturn, type Point } from "../points/point.js";
import type { SystemCall, SystemCalls } from "../system-calls.js";
import type { TextProbes } from "./text-probes.js";

/** What a session has once it has a target. Handlers are made before, and ask for it when they run. */
export interface Running {
  readonly engine: Engine;
  readonly texts: TextProbes;
  readonly calls: SystemCalls;
  readonly facts: SceneFacts;
}

/** Names for the places that hits are at. Looked up when a handler asks, and kept by address. */
export class ScriptScene implements Scene {
  targetProcess = 0;
  private readonly functions = new Map<string, string>();

  constructor(
    private readonly running: () => Running,
    private readonly points: ReadonlyMap<number, Point>,
  ) {}

  pointName(hit: Hit): string {
    const point = this.points.get(hit.probe.id);
    const { name } = hit.probe.definition;
    if (point?.kind !== "function") return name;
    // The pattern gives way to the function that it matched here.
    return name.replace(/function\("[^"]*"\)/, () => `function("${this.functionName(hit)}")`);
  }

  probeAddress(hit: Hit): bigint {
    const at = BigInt(hit.at);
    const point = this.points.get(hit.probe.id);
    if (point?.kind !== "function" || point.where !== "entry") return at;
    // A kernel's tracer has the first instructions of functions for itself: the breakpoint is behind them.
    return at - BigInt(this.symbolAt(hit, at)?.offset ?? 0);
  }

  functionName(hit: Hit): string {
    const { engine, texts, calls } = this.running();
    const call = calls.current;
    if (call !== undefined) return call.name;
    if (hit.thread === NO_THREAD) return "";
    const entry = texts.returningFrom(hit.probe) ?? hit.at;
    const key = `${String(hit.space)}:${String(entry)}`;
    let name = this.functions.get(key);
    if (name === undefined) {
      const image = engine.images.at(hit.space, entry);
      name = image === undefined ? "" : (image.symbolAt(entry)?.name ?? "<unknown>");
      this.functions.set(key, name);
    }
    return name;
  }

  process(hit: Hit): number {
    return this.running().facts.process(hit);
  }

  thread(hit: Hit): number {
    return this.running().facts.thread(hit);
  }

  symbolAt(hit: Hit, value: bigint): SceneSymbol | undefined {
    const address = addressOf(value);
    if (address === undefined || hit.thread === NO_THREAD) return undefined;
    return this.running().facts.symbolAt(hit.space, address);
  }

  variableAddress(hit: Hit, image: string, address: bigint, perCpu: boolean): bigint | undefined {
    return this.running().facts.variableAddress(hit, image, address, perCpu);
  }

  backtrace(hit: Hit, stack: "kernel" | "user"): readonly bigint[] | undefined {
    return hit.thread === NO_THREAD ? undefined : this.running().facts.backtrace(hit, stack);
  }

  currentTask(hit: Hit): bigint | undefined {
    return hit.thread === NO_THREAD ? undefined : this.running().facts.currentTask(hit);
  }

  clock(): bigint {
    return this.running().facts.clock();
  }

  systemCall(): SystemCall | undefined {
    return this.running().calls.current;
  }

  isReturn(hit: Hit): boolean {
    const point = this.points.get(hit.probe.id);
    return point !== undefined && isReturn(point);
  }
}
