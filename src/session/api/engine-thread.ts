import { parentPort, receiveMessageOnPort, type MessagePort } from "node:worker_threads";
import { assertNever } from "../../base/assert-never.js";
import { ProbeRefused, TargetError, TargetGone, TraplineError, UsageError } from "../../base/errors.js";
import { RemoteHandlers } from "../../handlers/closures/engine-side.js";
import { Mailbox } from "../../handlers/closures/mailbox.js";
import type { HandlerOutcome } from "../../probes/outcome.js";
import type { Location } from "../../probes/location.js";
import { COUNTERS, type Handler, type Probe } from "../../probes/probe.js";
import { DOORBELL } from "../../targets/linux/doorbell-words.js";
import { endAborting, isAborting } from "../../targets/linux/abort-delay.js";
import { ProcessorWait } from "../../targets/linux/processor-wait.js";
import { type ExitStatus, type SpaceId, type ThreadId } from "../../targets/target.js";
import { Engine, type EngineListener } from "../engine.js";
import { openTarget, type OpenedTarget } from "./open-target.js";
import { redirectWarnings } from "../thread.js";
import {
  type Command,
  type DescribedError,
  type EngineData,
  ERRORS_KEPT,
  type Notice,
  type RegisterRequest,
  type Reply,
} from "./protocol.js";

/** How long the engine waits at most before it looks for commands that nobody rang for; milliseconds. */
const LONGEST_WAIT = 1000;

interface Registration {
  readonly id: number;
  readonly probe: Probe;
  readonly request: RegisterRequest;
  unregistered: boolean;
  /** How many errors of its handlers were told. */
  errorsTold: number;
}

/** The engine's thread for targets of the TypeScript API: owns ptrace, keeps the probes, calls handlers by mailbox. */
class EngineThread implements EngineListener {
  private readonly registrations = new Map<number, Registration>();
  private readonly byProbe = new Map<Probe, Registration>();
  /** Spaces whose program has come to its entry point: its libraries are there to be searched. */
  private readonly entered = new Set<SpaceId>();
  private readonly counters: Float64Array;
  /** Probes whose counters changed since they were published. */
  private readonly counted = new Set<Probe>();
  private readonly bell: Int32Array;
  private readonly mailbox: Mailbox;
  private readonly remote: RemoteHandlers;
  private engine!: Engine;
  private mainStatus: ExitStatus | undefined;
  private opened: OpenedTarget | undefined;
  private paused = true;
  private isReady = false;
  private readonly warnings: string[] = [];
  private leaving = false;
  private ownerAborts = false;
  private nextLook = 0;

  private readonly port: MessagePort;

  constructor(private readonly data: EngineData) {
    this.port = data.port;
    this.counters = new Float64Array(data.counters);
    this.bell = new Int32Array(data.doorbell);
    this.mailbox = new Mailbox(data.mailbox);
    const ownerWait = new ProcessorWait(data.ownerThread);
    this.remote = new RemoteHandlers(
      this.mailbox,
      () => {
        this.tell({ kind: "visit" });
      },
      () => {
        this.publish();
      },
      data.patience,
      (space, at, bytes) => {
        this.engine.core.hideBreakpoints(space, at, bytes);
      },
      (space) => this.engine.target.memory(space),
      () => isAborting(data.ownerThread),
      () => ownerWait.lasts(),
      () => {
        if (Atomics.load(this.bell, DOORBELL.rung) !== 0) this.obeyAll();
      },
    );
  }

  /** @returns whether nothing of the target remains with this thread */
  async run(): Promise<boolean> {
    const { start, doorbell } = this.data;
    const onNotice = (text: string): void => {
      this.warn(text);
    };
    const opened = openTarget(start, { doorbell, onNotice });
    this.opened = opened;
    this.engine = new Engine(opened.tracee, this, { counted: this.counted });
    const enough = (): boolean => this.leaving;
    const wait = opened.longestWait;
    try {
      this.engine.begin();
      opened.begin(this.engine, (stands) => {
        this.ready(opened.process);
        while (stands && this.paused && !this.leaving) this.waitForCommand();
      });
      while (this.engine.alive && !this.leaving) {
        // The same deadline for many hits: each new one costs a system call.
        this.engine.step(Math.ceil(performance.now() / wait + 1) * wait, enough);
        this.obeyAll();
        this.lookAfterOwner();
      }
    } finally {
      // Also when we came to grief: the target goes on.
      await this.engine.leave();
      this.engine.images[Symbol.dispose]();
      opened.close();
      this.mailbox.set("left", 1);
      this.publish();
    }
    if (this.ownerAborts) endAborting(this.data.ownerThread);
    // The counters stay readable; what is asked from now on the caller's side answers itself.
    this.tell({ kind: "ended", status: this.mainStatus });
    return opened.isLeft();
  }

  probeDisarmed(probe: Probe, why: string): void {
    const registration = this.byProbe.get(probe);
    if (registration !== undefined) this.tell({ kind: "disarmed", probe: registration.id, why });
  }

  handlerFailed(probe: Probe, outcome: HandlerOutcome): void {
    const registration = this.byProbe.get(probe);
    if (outcome.kind !== "error" || registration === undefined) return;
    if (++registration.errorsTold > ERRORS_KEPT) return;
    this.tell({ kind: "handler-error", probe: registration.id, message: outcome.message });
  }

  textChanged(why: string, probes: readonly Probe[]): void {
    this.warn(why);
    for (const probe of probes)
      if (probe.armed && this.engine.core.locationsOf(probe).size === 0) this.probeDisarmed(probe, why);
  }

  locationLost(location: Location, why: string): void {
    for (const entry of location.entries) this.probeDisarmed(entry.probe, why);
  }

  processGone(thread: ThreadId, status: ExitStatus): void {
    const first = this.opened?.first;
    if (first === undefined || thread === first) this.mainStatus = status;
  }

  /** A forked program stands where its parent stood. */
  threadCopied(parent: ThreadId, _child: ThreadId, space: SpaceId): void {
    if (this.entered.has(this.engine.target.spaceOf(parent))) this.entered.add(space);
  }

  /** Libraries came or went. */
  imagesChanged(space: SpaceId): void {
    if (this.entered.has(space)) this.armIn(space);
  }

  /** A program that was executed is there, with its libraries: as a launched one when it is held. */
  imagesRelocated(space: SpaceId): void {
    this.entered.add(space);
    const spaces = new Set(this.engine.images.allSpaces());
    for (const each of this.entered) if (!spaces.has(each)) this.entered.delete(each);
    this.armIn(space);
  }

  /** Arms the probes that name a symbol where this space has it, and they are not there yet. */
  private armIn(space: SpaceId): void {
    const { core } = this.engine;
    for (const { id, probe, request, unregistered } of this.registrations.values()) {
      if (unregistered || !probe.armed) continue;
      const places = [...core.locationsOf(probe)];
      if (places.some((place) => place.space === space)) continue;
      let why = "its address was in a program that is no longer executed";
      if (request.where.kind === "symbol") {
        try {
          const place = this.engine.images.locate(space, request.where);
          core.arm(probe, space, place.address, { fileByte: place.fileByte });
          this.tell({ kind: "armed", probe: id });
          continue;
        } catch (error) {
          if (error instanceof TargetGone) return;
          if (!(error instanceof TraplineError)) throw error;
          why = error.message;
        }
      }
      if (places.length === 0) this.tell({ kind: "disarmed", probe: id, why });
    }
  }

  private ready(pid: number): void {
    for (const space of this.engine.images.allSpaces()) this.entered.add(space);
    this.tell({ kind: "ready", pid, warnings: this.warnings });
    this.isReady = true;
  }

  /** Where the caller's thread aborts (V8 has no memory left, say), the target is left while there is time. */
  private lookAfterOwner(): void {
    const now = performance.now();
    if (now < this.nextLook && this.mailbox.get("ownerLeft") === 0) return;
    this.nextLook = now + LONGEST_WAIT;
    this.ownerAborts = isAborting(this.data.ownerThread);
    if (this.ownerAborts) this.leaving = true;
  }

  /** Does what was asked meanwhile; never waits. */
  private obeyAll(): void {
    for (;;) {
      const message = receiveMessageOnPort(this.port);
      if (message === undefined) return;
      this.obey(message.message as NumberedCommand);
    }
  }

  private waitForCommand(): void {
    Atomics.wait(this.bell, DOORBELL.rung, 0, LONGEST_WAIT);
    Atomics.store(this.bell, DOORBELL.rung, 0);
    this.obeyAll();
    this.lookAfterOwner();
  }

  private obey({ command, number }: NumberedCommand): void {
    try {
      this.execute(command);
      this.publish();
      this.reply({ kind: "done", command: number });
    } catch (error) {
      if (!(error instanceof TraplineError)) throw error;
      this.reply({ kind: "failed", command: number, error: described(error) });
    }
  }

  private execute(command: Command): void {
    switch (command.kind) {
      case "register":
        this.register(command.probe, command.request);
        return;
      case "unregister":
        this.unregister(command.probe);
        return;
      case "disarm":
        this.engine.core.disarm(this.registered(command.probe).probe);
        return;
      case "arm": {
        const { probe, request } = this.registered(command.probe);
        this.armEverywhere(probe, request);
        return;
      }
      case "run":
        this.paused = false;
        return;
      case "leave":
        this.paused = false;
        this.leaving = true;
        return;
      default:
        assertNever(command);
    }
  }

  private register(id: number, request: RegisterRequest): void {
    const { phases } = request;
    const handler = (phase: "pre" | "post" | "fault"): Handler | undefined =>
      phases[phase] ? this.remote.handler(id, phase) : undefined;
    const probe = this.engine.core.register({
      name: request.name,
      pre: handler("pre"),
      post: handler("post"),
      fault: handler("fault"),
      postOn: request.postOn,
      maxCancelled: request.maxCancelled,
      faultHandler: phases.faultHandler ? this.remote.faultHandler(id) : undefined,
    });
    try {
      this.armEverywhere(probe, request);
    } catch (error) {
      this.engine.core.unregister(probe);
      throw error;
    }
    const registration = { id, probe, request, unregistered: false, errorsTold: 0 };
    this.registrations.set(id, registration);
    this.byProbe.set(probe, registration);
  }

  /** Its books are kept: a hit under way still ends in them. */
  private unregister(id: number): void {
    const registration = this.registrations.get(id);
    if (registration === undefined || registration.unregistered) return;
    registration.unregistered = true;
    this.engine.core.unregister(registration.probe);
  }

  /** In every space that has the place; at least one must. */
  private armEverywhere(probe: Probe, request: RegisterRequest): void {
    let armed = 0;
    let refusal: TraplineError | undefined;
    for (const space of this.engine.images.allSpaces()) {
      try {
        const place = this.engine.images.locate(space, request.where);
        this.engine.core.arm(probe, space, place.address, { fileByte: place.fileByte });
        armed++;
      } catch (error) {
        if (!(error instanceof TraplineError)) throw error;
        refusal = error;
      }
    }
    if (armed === 0)
      throw refusal ?? new TargetError("the target is gone: nothing can be probed in it any more");
  }

  private registered(id: number): Registration {
    const registration = this.registrations.get(id);
    if (registration === undefined || registration.unregistered)
      throw new UsageError("the probe is not registered any more");
    return registration;
  }

  /** Makes all counters visible to the caller; of thousands of probes a hit changes one or two. */
  private publish(): void {
    for (const probe of this.counted) {
      const id = this.byProbe.get(probe)?.id;
      if (id === undefined) continue;
      for (const [index, name] of COUNTERS.entries())
        this.counters[id * COUNTERS.length + index] = probe[name];
    }
    this.counted.clear();
  }

  /** What there is to say before the target is ready is told with that. */
  private warn(text: string): void {
    if (this.isReady) this.tell({ kind: "warning", text });
    else this.warnings.push(text);
  }

  private tell(notice: Notice): void {
    this.port.postMessage(notice);
  }

  private reply(reply: Reply): void {
    this.port.postMessage(reply);
  }
}

interface NumberedCommand {
  readonly number: number;
  readonly command: Command;
}

function described(error: TraplineError): DescribedError {
  const { name, message, remedy } = error;
  const refused =
    error instanceof ProbeRefused ? { at: error.at, reason: error.reason, detail: error.detail } : undefined;
  return { name, message, remedy, refused };
}

/** @returns whether this thread may have another engine */
async function serve(data: EngineData): Promise<boolean> {
  try {
    return await new EngineThread(data).run();
  } catch (error) {
    new Mailbox(data.mailbox).set("left", 1);
    data.port.postMessage(
      (error instanceof TraplineError
        ? { kind: "refused", error: described(error) }
        : {
            kind: "broken",
            message: String(error instanceof Error ? error.stack : error),
          }) satisfies Notice,
    );
    return false;
  } finally {
    data.port.close();
  }
}

// A worker has a parent port, by definition; only being run as a program by mistake would lack it.
if (parentPort === null) throw new UsageError("engine-thread is started by trapline itself");
const owner = parentPort;
redirectWarnings();
owner.on("message", (data: EngineData) => {
  void serve(data).then((again) => {
    if (again) owner.postMessage("idle");
    else owner.close();
  });
});
