import { TargetGone } from "../base/errors.js";
import type { RegisterFile } from "../arch/x86_64/registers.js";
import type {
  Capabilities,
  Disposition,
  Mapping,
  Memory,
  Stop,
  Target,
  ThreadFacts,
  ThreadId,
} from "./target.js";

/** No target: for scripts of begin, end and timer probes alone. */
export class NoTarget implements Target {
  readonly capabilities: Capabilities = { stepsAlone: false };

  threads(): Iterable<ThreadId> {
    return [];
  }
  threadsOf(): Iterable<ThreadId> {
    return [];
  }
  spaceOf(): never {
    return none();
  }
  isRunnable(): boolean {
    return false;
  }

  isStopped(): boolean {
    return false;
  }
  wait(): Stop | undefined {
    return undefined;
  }
  resume(): void {
    none();
  }
  interrupt(): void {
    none();
  }
  registers(): RegisterFile {
    return none();
  }
  memory(): Memory {
    return none();
  }
  mappings(): readonly Mapping[] {
    return [];
  }
  facts(): ThreadFacts {
    return none();
  }
  disposition(): Disposition {
    return "ignored";
  }
  traceSystemCalls(): void {
    // No target makes any.
  }
  async [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function none(): never {
  throw new TargetGone("there is no target");
}
