import { performance } from "node:perf_hooks";
import { formatAddress } from "../../base/address.js";
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
import { formatPosition } from "../../script/position.js";
import { compileGlob } from "../../symbols/glob.js";
import { CONTINUE, type ExitStatus, type SpaceId, type ThreadId } from "../../targets/target.js";
import { Engine, type EngineListener } from "../engine.js";
import type { SessionOptions } from "../options.js";
import { hasInstruction, isReturn, isText, type Point, type TextPoint } from "../points/point.js";
import { Progress, type ProgressSink } from "../progress.js";
import { counted } from "./pass-times.js";
import type { Outside } from "./outside.js";
import { pointText } from "./point-text.js";
import { reportOf, type ScriptProbe } from "./probe-report.js";
import type { ResolvedPoint } from "./resolved-points.js";
import { type Running, ScriptScene } from "./script-scene.js";
import type { OpenSubject, Subject } from "./subject.js";
import { type ArmingListener, TextProbes } from "./text-probes.js";

/** Standard error, for what is neither the script's nor a warning. */
export interface Messages {
  readonly say: (line: string) => void;
  /** Where a line of progress goes. */
  readonly progress: ProgressSink;
}

/** Passes 4 and 5: arms a compiled script's probes on a target and runs it to its end. */
export class ScriptSession implements EngineListener, SessionServices {
  readonly strictFaults: boolean;
  private readonly probes: ScriptProbe[] = [];
  private readonly pointOf = new Map<number, Point>();
  private readonly scene = new ScriptScene(() => this.running, this.pointOf);
  private runningParts: Running | undefined;
  private ending = false;
  private failed = false;
  private begun = false;
  /** Of the target, from before there was an output to tell them to. */
  private readonly notices: string[] = [];
  private errors = 0;
  private mainStatus: ExitStatus | undefined;
  private mainProcess = 0;

  constructor(
    private readonly options: SessionOptions,
    readonly limits: Limits,
    private readonly compiled: Compiled,
    private readonly points: readonly ResolvedPoint[],
    private readonly subject: Subject,
    private readonly sink: Sink,
    private readonly outside: Outside,
    private readonly messages: Messages,
  ) {
    this.strictFaults = options.strictFaults;
  }

  /** Pass 4: makes the handlers. Nothing of a target is touched. */
  compileHandlers(): readonly ScriptHandler[] {
    return compileHandlers(this.compiled.program, new HandlerContext(this), this.scene);
  }

  /** Pass 5. @returns the exit status @throws TargetError the target cannot be had */
  async run(handlers: readonly ScriptHandler[]): Promise<number> {
    const opened = await this.subject.open((text) => {
      if (this.begun) this.sink.warning(fromText(text));
      else this.notices.push(text);
    });
    const { tracee } = opened;
    // From here on a target is stopped or traced: whatever is thrown, it is left as it would be without us.
    const engine = new Engine(tracee, this, { timing: this.options.timing });
    try {
      const texts = new TextProbes(engine, this.armingListener(), this.limits.MAXHITS);
      this.runningParts = {
        engine,
        texts,
        calls: tracee.systemCalls(engine.core, engine.images),
        facts: tracee.scene(engine.images),
      };
      this.begin(handlers, opened);
      this.loop();
    } finally {
      await engine.leave();
    }
    if (this.options.verbosity > 0) this.sayPlaces();
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

  textChanged(why: string): void {
    this.sink.warning(fromText(why));
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
    this.running.texts.arm(space);
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
    this.running.texts.threadCopied(parent, child, space);
  }

  threadGone(thread: ThreadId): void {
    this.running.texts.threadGone(thread);
    this.running.calls.threadGone(thread);
  }

  systemCall(thread: ThreadId, phase: "entry" | "exit", number: number): void {
    if (!this.ending) this.running.calls.onStop(thread, phase, number);
  }

  imagesChanged(space: SpaceId): void {
    this.running.texts.arm(space);
  }

  imagesRelocated(space: SpaceId): void {
    this.running.texts.armSelected(space);
  }

  /** What there is once a target is had. */
  private get running(): Running {
    if (this.runningParts === undefined) throw new Error("the session has not begun");
    return this.runningParts;
  }

  private get engine(): Engine {
    return this.running.engine;
  }

  private begin(handlers: readonly ScriptHandler[], { process, isHeld }: OpenSubject): void {
    for (const point of this.points) this.register(point, handlers);
    const { target } = this.engine;
    const [first] = target.threads();
    this.mainProcess = process;
    this.scene.targetProcess = process;
    this.sink.begin({ script: this.options.script.name, probes: this.probes.length });
    this.begun = true;
    for (const notice of this.notices) this.sink.warning(fromText(notice));
    this.sayUnseenEnds();
    if (this.options.json) for (const warning of this.compiled.warnings) this.sink.warning(fromText(warning));
    this.fireAll("begin");
    if (this.ending) return;
    this.engine.begin();
    this.running.calls.begin();
    if (this.options.verbosity > 0) this.sayTiers();
    for (const thread of [...target.threads()]) {
      if (thread === first) this.fireProcessHere(thread);
      if (isHeld && target.isStopped(thread)) target.resume(thread, CONTINUE);
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
    this.outside.armed();
  }

  private sayUnseenEnds(): void {
    if (this.engine.target.capabilities.endsUnseen !== true) return;
    for (const { point, probe } of this.probes)
      if (point.kind === "process" && (point.event === "end" || point.event === "thread.end"))
        this.sink.warning(
          fromText(
            `${probe.definition.name}: is not hit: this target tells of a thread's end only when the thread is gone; probe a function that ends it instead`,
          ),
        );
  }

  private fireProcessHere(thread: ThreadId): void {
    if (!this.engine.target.isStopped(thread)) return;
    this.fireProcess("begin", thread);
    this.fireProcess("thread.begin", thread);
  }

  private loop(): void {
    const enough = (): boolean => this.ending;
    const { hasTarget } = this.subject;
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
    const status = this.outside.commandStatus();
    if (status !== undefined) this.processGone(this.mainProcess as ThreadId, { kind: "exited", status });
    if (!urgent) this.fireAll(this.failed ? "error" : "end");
    for (const { probe, matched } of this.running.texts.all)
      if (!matched) this.warnUnlessOptional(probe, "nothing of the target was what it names");
    this.sink.end({
      probes: this.probes.map((each) => reportOf(each, this.running.texts)),
      errors: this.errors,
      skipped: this.probes.reduce((sum, { probe }) => sum + probe.nmissed, 0),
      failed: this.failed,
      ...(this.mainStatus === undefined ? {} : { target: this.mainStatus }),
    });
    this.sink.close();
  }

  private register(
    { point, node, compiled, index, codes }: ResolvedPoint,
    handlers: readonly ScriptHandler[],
  ): void {
    // One handler was made for each probe of the script.
    const handler = handlers[index] as ScriptHandler;
    const probe = this.engine.core.register(this.definition(point, node, compiled, handler));
    this.pointOf.set(probe.id, point);
    this.probes.push({ probe, point, node, compiled });
    if (isText(point)) this.running.texts.add(probe, point, { codes, save: handler.save });
    else if (point.kind === "system-call") this.running.calls.add(probe, point);
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

  private fireProcess(event: string, thread: ThreadId): void {
    if (this.ending) return;
    for (const { point, probe } of this.probes) {
      if (
        point.kind === "process" &&
        point.event === event &&
        this.engine.images.concerns(point.program, thread)
      ) {
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

  private armingListener(): ArmingListener {
    const { verbosity } = this.options;
    const { say, progress } = this.messages;
    return {
      armed: ({ probe }, { address, name, image }) => {
        if (verbosity < 2) return;
        say(`probe ${probe.definition.name}: armed at ${formatAddress(address)} (${name} of ${image.path})`);
      },
      refused: ({ probe, point }, message) => {
        if (verbosity > 1) say(`probe ${probe.definition.name}: ${message}`);
        if (namesOne(point)) this.warnUnlessOptional(probe, message);
      },
      arming: () => new Progress("arming probes", progress),
    };
  }

  private warnUnlessOptional(probe: Probe, message: string): void {
    const { node, compiled } = this.probes.find((each) => each.probe === probe) ?? {};
    if (node === undefined || compiled === undefined || node.optional || node.sufficient) return;
    const where = formatPosition(compiled.node.position);
    this.sink.warning(fromText(`probe ${probe.definition.name} at ${where}: ${message}`));
  }

  private sayTiers(): void {
    for (const { point, probe } of this.probes)
      this.messages.say(`probe ${probe.definition.name}: trap tier (${point.kind})`);
  }

  private sayPlaces(): void {
    for (const { probe, armed, refused } of this.running.texts.all) {
      const reasons = [...refused].map(([reason, count]) => `, ${reason}: ${String(count)}`).join("");
      this.messages.say(`probe ${probe.definition.name}: armed at ${counted(armed, "place")}${reasons}`);
    }
  }
}

/** Whoever wrote this point meant one place: that it could not be had is worth a word. */
function namesOne(point: TextPoint): boolean {
  return point.kind === "statement" || compileGlob(point.functions).exact !== undefined;
}

/** How often the session looks up from its target: for output that waits to be written; milliseconds. */
const BEAT = 100;

function order(point: Point): number {
  return point.kind === "begin" || point.kind === "end" || point.kind === "error" ? point.order : 0;
}
