import type { MessagePort } from "node:worker_threads";
import type { Address } from "../../base/address.js";
import type { RefusalReason } from "../../base/refusals.js";
import type { ExitStatus } from "../../targets/target.js";
import type { Where } from "../where.js";

/** What the caller's thread asks of the engine's thread. Each is answered by a {@link Reply}. */
export type Command =
  | { readonly kind: "register"; readonly probe: number; readonly request: RegisterRequest }
  | { readonly kind: "unregister"; readonly probe: number }
  | { readonly kind: "disarm"; readonly probe: number }
  | { readonly kind: "arm"; readonly probe: number }
  | { readonly kind: "run" }
  | { readonly kind: "leave" };

/** A probe as it crosses to the engine: the closures stay with the caller. */
export interface RegisterRequest {
  readonly name: string;
  readonly where: Where;
  readonly phases: {
    readonly pre: boolean;
    readonly post: boolean;
    readonly fault: boolean;
    readonly faultHandler: boolean;
  };
  readonly postOn: "completion" | "both";
  readonly maxCancelled: number;
}

export type Reply =
  | { readonly kind: "done"; readonly command: number }
  | { readonly kind: "failed"; readonly command: number; readonly error: DescribedError };

/** An error between threads, where errors lose their class. */
export interface DescribedError {
  readonly name: string;
  readonly message: string;
  readonly remedy: string | undefined;
  /** Of a {@link ProbeRefused}. */
  readonly refused:
    { readonly at: Address; readonly reason: RefusalReason; readonly detail: string } | undefined;
}

/** What the engine's thread tells of its own accord. */
export type Notice =
  /** The target is there and can be probed. */
  | { readonly kind: "ready"; readonly pid: number; readonly warnings: readonly string[] }
  | { readonly kind: "refused"; readonly error: DescribedError }
  /** The engine's thread came to grief, and has left the target. */
  | { readonly kind: "broken"; readonly message: string }
  /** A handler is to be run: visit the mailbox. */
  | { readonly kind: "visit" }
  | { readonly kind: "ended"; readonly status: ExitStatus | undefined }
  /** The engine disarmed a probe by itself. */
  | { readonly kind: "disarmed"; readonly probe: number; readonly why: string }
  /** A probe that was out of the target is in it again: the program that has its place was executed or loaded. */
  | { readonly kind: "armed"; readonly probe: number }
  /** Something of the target that its user should know. */
  | { readonly kind: "warning"; readonly text: string }
  /** A handler raised something that is no fault of the target. */
  | { readonly kind: "handler-error"; readonly probe: number; readonly message: string };

export type EngineStart =
  | { readonly kind: "launch"; readonly command: readonly string[] }
  | { readonly kind: "attach"; readonly pid: number }
  /** A program behind a stub, which listens there. */
  | { readonly kind: "stub-program"; readonly gdb: string }
  | {
      readonly kind: "kernel";
      /** Where its stub listens. */
      readonly gdb: string;
      readonly image: string;
      /** It stands until {@link Command} `run`. */
      readonly held: boolean;
      /** A process of it that the caller is told as its `pid`; 0: none. */
      readonly process: number;
    };

export interface EngineData {
  readonly start: EngineStart;
  readonly mailbox: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** TID of the thread that handlers run in. */
  readonly ownerThread: number;
  readonly patience: { readonly owner: number; readonly handler: number };
  /** Commands come by it; replies and notices go. */
  readonly port: MessagePort;
}

/** So many messages of errors are kept for a probe; its counter goes on. */
export const ERRORS_KEPT = 10;

/** Probes that can be registered in one target through the API, those included that are not any more. */
export const MAXIMUM_PROBES = 20_000;
