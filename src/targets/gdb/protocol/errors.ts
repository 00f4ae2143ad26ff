import { TargetError } from "../../../base/errors.js";

/** What went wrong between us and a stub. */
export type StubErrorKind =
  /** The stub answered that it cannot do that: `E01`. */
  | "refused"
  /** The stub does not know the packet. */
  | "unsupported"
  /** What came is not an answer to what was asked, or no packet at all. */
  | "nonsense"
  /** No answer in time. */
  | "silent"
  /** The connection could not be made, or is lost. */
  | "closed";

/** A stub did not do what it was asked. */
export class StubError extends TargetError {
  constructor(
    readonly kind: StubErrorKind,
    message: string,
    options: { readonly cause?: unknown; readonly remedy?: string } = {},
  ) {
    super(message, options);
  }

  /** Whether the connection is of no use any more: what comes from it could belong to another question. */
  get isFinal(): boolean {
    return this.kind === "nonsense" || this.kind === "silent" || this.kind === "closed";
  }
}

/** The stub's `E` reply to one packet; the connection goes on. */
export class StubRefusal extends StubError {
  constructor(
    message: string,
    /** The two digits behind the `E`; what they mean is each stub's own business. */
    readonly code: number,
  ) {
    super("refused", message);
  }
}
