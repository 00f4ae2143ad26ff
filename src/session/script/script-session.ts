import { performance } from "node:perf_hooks";
import { TraplineError, UsageError } from "../../base/errors.js";
import { assertNever } from "../../base/assert-never.js";
import { compileHandlers, type ScriptHandler } from "../../handlers/js/compile.js";
import type { Sink } from "../../output/sink.js";
import type { HandlerOutcome } from "../../probes/outcome.js";
import type { Location } from "../../probes/location.js";
import type { Probe, ProbeDefinition } from "../../probes/probe.js";
import { fromText } from "../../runtime/byte-string.js";
import { HandlerContext, type SessionServices } from "../../runtime/context.js";
import type { Limits } from "../../runtime/limits.js";
import type { Compiled, CompiledProbe } from "../../script/compile.js";
import type { PointNode } from "../../script/ast.js";
import { LinuxTarget } from "../../targets/linux/target.js";
import { NoTarget } from "../../targets/nothing.js";
import { CONTINUE, type ExitStatus, type SpaceId, type ThreadId } from "../../targets/target.js";
import { Engine, type EngineListener } from "../engine.js";
import type { SessionOptions } from "../options.js";
import type { ProgramNames } from "../points/places.js";
import type { Point, ProgramPattern } from "../points/point.js";
import { commandWords } from "./command.js";
import { StaticPoints } from "./listing.js";
import { pointText, resolvePoint } from "./point-text.js";
import { reportOf, type ScriptProbe } from "./probe-report.js";
import { ScriptScene } from "./script-scene.js";
import { SystemCallProbes } from "./system-calls.js";
import { TextProbes } from "./text-probes.js";

/** What the world outside of the session's thread tells it. */
export interface Outside {
  readonly doorbell: SharedArrayBuffer;
  /** 0: go on; 1: end as `exit()` does; 2: end at once. */
  stopRequest(): number;
  /** Waits until somebody rings, at most until a time. For sessions without a target. */
  idle(until: number): void;
}

/** Passes 4 and 5: arms a compiled script's probes on a target and runs it to its end. */
export class ScriptSession implements EngineListener, SessionServices {
  readonly strictFaults: boolean;
  private handlers: readonly ScriptHandler[] = [];
  private readonly probes: ScriptProbe[] = [];
  private readonly points = new Map<number, Point>();
  private engine!: Engine;
  private texts!: TextProbes;
  private calls!: SystemCallProbes;
  private scene!: ScriptScene;
  private ending = false;
  private failed = false;
  private errors = 0;
  private mainStatus: ExitStatus | undefined;
  private mainProcess = 0;

  constructor(
    private readonly options: SessionOptions,
    readonly limits: Limits,
    private readonly compiled: Compiled,
    private readonly names: ProgramNames & { target: string | undefined },
    private readonly sink: Sink,
    private readonly outside: Outside,
    private readonly say: (line: string) => void,
  ) {
    this.strictFaults = options.strictFaults;
  }

  /** @returns the exit status @throws TargetError, ScriptProblem before anything was changed in a target */
  async run(): Promise<number> {
    const points = this.resolvePoints();
    const target = this.openTarget();
    this.engine = new Engine(target, this, { timing: this.options.timing });
    this.texts = new TextProbes(this.engine, this.names, (line) => {
      if (this.options.verbosity > 0) this.say(line);
    });
    this.calls = new SystemCallProbes(target, this.engine.core);
    this.scene = new ScriptScene(this.engine, this.texts, this.calls, this.points);
    this.handlers = compileHandlers(this.compiled.program, new HandlerContext(this), this.scene);
    try {
      this.begin(points);
      this.loop();
    } finally {
      await this.engine.leave();
    }
    this.end();
    return this.failed ? 1 : 0;
  }

  print(text: string): void {
    this.sink.print(text);
  }

  warn(text: string): void {
    this.sink.warning(text);
  }

  log(text: string): void {
    this.sink.log(text);
  }

  exit(): void {
    this.ending = true;
  }

  probeDisarmed(probe: Probe, why: string): void {
    this.sink.warning(fromText(`${probe.definition.name}: disarmed: ${why}`));
  }

  locationLost(location: Location, why: string): void {
    for (const entry of location.entries)
      this.sink.warning(fromText(`${entry.probe.definition.name}: ${why}`));
  }

  handlerFailed(probe: Probe, outcome: HandlerOutcome): void {
    if (outcome.kind !== "error") return;
    const text = fromText(
      outcome.where === "" ? outcome.message : `${outcome.message} near ${outcome.where}`,
    );
    if (this.options.suppressHandlerErrors) {
      this.sink.warning(text);
      return;
    }
    this.errors++;
    this.sink.error(text, probe.definition.name);
    if (this.errors > this.limits.MAXERRORS) {
      this.failed = true;
      this.ending = true;
    }
  }

  processBegins(thread: ThreadId, space: SpaceId): void {
    this.fireProcess("begin", thread);
    this.texts.arm(space);
  }

  processEnds(thread: ThreadId): void {
    this.fireProcess("end", thread);
  }

  processGone(thread: ThreadId, status: ExitStatus): void {
    this.sink.targetExit(thread, status);
    if (thread === this.mainProcess) this.mainStatus = status;
  }

  threadBegins(thread: ThreadId): void {
    this.fireProcess("thread.begin", thread);
  }

  threadEnds(thread: ThreadId): void {
    this.fireProcess("thread.end", thread);
  }

  threadCopied(parent: ThreadId, child: ThreadId, space: SpaceId): void {
    this.texts.threadCopied(parent, child, space);
  }

  threadGone(thread: ThreadId): void {
    this.texts.threadGone(thread);
    this.calls.threadGone(thread);
  }

  systemCall(thread: ThreadId, phase: "entry" | "exit", number: number): void {
    if (!this.ending) this.calls.onStop(thread, phase, number);
  }

  imagesChanged(space: SpaceId): void {
    this.texts.arm(space);
  }

  imagesRelocated(space: SpaceId): void {
    this.texts.armSelected(space);
  }

  private openTarget(): LinuxTarget | NoTarget {
    const { command, pid } = this.options;
    const { doorbell } = this.outside;
    if (pid !== undefined) return LinuxTarget.attach(pid, { doorbell, ownsProcess: true });
    if (command === undefined) return new NoTarget();
    const words = commandWords(command);
    if (words.length === 0) throw new UsageError("-c: the command is empty");
    return LinuxTarget.launch(words, { doorbell, ownsProcess: true });
  }

  private begin(points: readonly ResolvedPoint[]): void {
    for (const point of points) this.register(point);
    const { target } = this.engine;
    const [first] = target.threads();
    if (first !== undefined) {
      const facts = target.facts(first);
      this.mainProcess = facts.process;
      this.scene.targetProcess = facts.process;
      this.names.target ??= facts.executable;
    }
    this.sink.begin({ script: this.options.script.name, probes: this.probes.length });
    this.fireAll("begin");
    if (this.ending) return;
    this.engine.begin();
    if (this.calls.any) target.traceSystemCalls(true);
    if (this.options.verbosity > 0) this.sayArmed();
    for (const thread of [...target.threads()]) {
      if (thread === first) this.fireProcessHere(thread);
      if (this.options.command !== undefined) target.resume(thread, CONTINUE);
    }
    for (const { point, probe } of this.probes) {
      if (point.kind === "timer")
        this.engine.timers.every(point.milliseconds, () => {
          this.fire(probe);
        });
    }
    if (this.options.seconds !== undefined)
      this.engine.timers.every(this.options.seconds * 1000, () => {
        this.exit();
      });
  }

  private fireProcessHere(thread: ThreadId): void {
    if (!this.engine.target.isStopped(thread)) return;
    this.fireProcess("begin", thread);
    this.fireProcess("thread.begin", thread);
  }

  private loop(): void {
    const enough = (): boolean => this.ending;
    const hasTarget = this.options.command !== undefined || this.options.pid !== undefined;
    while (!this.ending && (!hasTarget || this.engine.alive)) {
      const request = this.outside.stopRequest();
      if (request > 0) return;
      this.sink.flushIfDue();
      // The same deadline for many hits: each new one costs a system call.
      const until = Math.ceil(performance.now() / BEAT + 1) * BEAT;
      if (hasTarget) this.engine.step(until, enough);
      else {
        this.sink.flush();
        this.outside.idle(Math.min(until, this.engine.timers.next()));
        this.engine.step(0, enough);
      }
    }
  }

  private end(): void {
    const urgent = this.outside.stopRequest() > 1;
    if (!urgent) this.fireAll(this.failed ? "error" : "end");
    this.sink.end({
      probes: this.probes.map((each) => reportOf(each, this.texts)),
      errors: this.errors,
      skipped: this.probes.reduce((sum, { probe }) => sum + probe.nmissed, 0),
      failed: this.failed,
      ...(this.mainStatus === undefined ? {} : { target: this.mainStatus }),
    });
    this.sink.close();
  }

  /**
   * What the probes' points mean, said before anything runs.
   *
   * @throws ScriptProblem a point that is none, or that can match nothing
   */
  private resolvePoints(): ResolvedPoint[] {
    using files = new StaticPoints(this.names);
    const resolved: ResolvedPoint[] = [];
    this.compiled.probes.forEach((compiled, index) => {
      for (const node of compiled.points) {
        const point = resolvePoint(node, this.compiled.sources);
        this.refusePhases(point, node, compiled);
        if (!this.matches(point, node, files)) continue;
        resolved.push({ point, node, compiled, index });
        if (node.sufficient) break;
      }
    });
    return resolved;
  }

  private register({ point, node, compiled, index }: ResolvedPoint): void {
    // One handler was made for each probe of the script.
    const handler = this.handlers[index] as ScriptHandler;
    const probe = this.engine.core.register(this.definition(point, node, compiled, handler));
    this.points.set(probe.id, point);
    this.probes.push({ probe, point, compiled });
    if (point.kind === "function" || point.kind === "statement") this.texts.add(probe, point);
    else if (point.kind === "system-call")
      this.calls.add(probe, point, (thread) => this.concerns(point.program, thread));
  }

  private refusePhases(point: Point, node: PointNode, { phases }: CompiledProbe): void {
    if (phases.length === 0 || (hasInstruction(point) && !isReturn(point))) return;
    const problem = `a probe point of this kind has no phases: '${phases.join(", ")}'`;
    throw this.compiled.sources.problem("semantic", problem, node.position);
  }

  private definition(
    point: Point,
    node: PointNode,
    compiled: CompiledProbe,
    handler: ScriptHandler,
  ): ProbeDefinition {
    const { phases, mentionsFault } = compiled;
    const base = { name: pointText(node), maxCancelled: this.limits.MAXCANCELLED };
    if (phases.length === 0) {
      // Row S12: the body asks about faults, so it is also called for those that are not retried.
      const implicit = mentionsFault && hasInstruction(point) && !isReturn(point);
      return implicit
        ? { ...base, pre: handler, fault: handler, faultWhen: "not-retried" }
        : { ...base, pre: handler };
    }
    const has = (phase: "pre" | "post" | "fault"): ScriptHandler | undefined =>
      phases.includes(phase) ? handler : undefined;
    return { ...base, pre: has("pre"), post: has("post"), fault: has("fault") };
  }

  /** Said before anything runs: a point that can match nothing is an error, unless it is optional. */
  private matches(point: Point, node: PointNode, files: StaticPoints): boolean {
    if (point.kind !== "function" && point.kind !== "statement") return true;
    if (this.options.command === undefined && this.options.pid === undefined) {
      throw new UsageError(`${pointText(node)}: a process to probe is needed`, {
        remedy: "name one with -c COMMAND or -x PID",
      });
    }
    try {
      const functions = files.functionsOf(point);
      if (functions === undefined || point.kind === "statement" || functions.length > 0) return true;
    } catch (error) {
      if (!(error instanceof TraplineError) || !(node.optional || node.sufficient)) throw error;
      return false;
    }
    if (node.optional || node.sufficient) return false;
    throw this.compiled.sources.problem(
      "semantic",
      `while resolving probe point: no match: '${pointText(node)}'`,
      node.position,
    );
  }

  private concerns(program: ProgramPattern, thread: ThreadId): boolean {
    switch (program.kind) {
      case "any":
        return true;
      case "pid":
        return this.engine.target.facts(thread).process === program.pid;
      case "path":
        return this.mainPath(thread) === this.names.resolve(program.path);
      case "target":
        return this.mainPath(thread) === this.names.target;
      default:
        return assertNever(program);
    }
  }

  private mainPath(thread: ThreadId): string | undefined {
    return this.engine.programs.main(this.engine.target.spaceOf(thread))?.path;
  }

  private fireProcess(event: string, thread: ThreadId): void {
    if (this.ending) return;
    for (const { point, probe } of this.probes) {
      if (point.kind === "process" && point.event === event && this.concerns(point.program, thread)) {
        this.engine.core.fire(probe, "pre", thread);
      }
    }
  }

  private fireAll(kind: "begin" | "end" | "error"): void {
    const mine = this.probes.filter(({ point }) => point.kind === kind);
    mine.sort((a, b) => order(a.point) - order(b.point));
    for (const { probe } of mine) {
      this.fire(probe);
      if (this.ending && kind === "begin") return;
    }
  }

  private fire(probe: Probe): void {
    this.engine.core.fire(probe, "pre", undefined);
  }

  private sayArmed(): void {
    for (const { point, probe } of this.probes)
      this.say(`probe ${probe.definition.name}: trap tier (${point.kind})`);
  }
}

/** How often the session looks up from its target: for output that waits to be written; milliseconds. */
const BEAT = 100;

/** A point of the script, and the number of its handler. */
interface ResolvedPoint {
  readonly point: Point;
  readonly node: PointNode;
  readonly compiled: CompiledProbe;
  readonly index: number;
}

/** Points at which something is executed, that can fault. */
function hasInstruction(point: Point): boolean {
  return point.kind === "function" || point.kind === "statement" || point.kind === "system-call";
}

function isReturn(point: Point): boolean {
  return (point.kind === "function" || point.kind === "system-call") && point.where === "return";
}

function order(point: Point): number {
  return point.kind === "begin" || point.kind === "end" || point.kind === "error" ? point.order : 0;
}
