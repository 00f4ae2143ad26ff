/**
 * Why a place cannot take a probe, or loses it at its first hit. The names are those of `-v`, of the report
 * and of the tests; docs/safety.md says of each why it is and which test shows it.
 */
export const REFUSAL_REASONS = [
  // The instruction.
  "does-not-decode",
  "truncated",
  "far-call",
  "vendor-dependent-branch",
  "enclu",
  "branch-out-of-address-space",
  "returns-elsewhere",
  // The place.
  "not-code",
  "inside-instruction",
  "rseq-section",
  "unmapped",
  "shared-mapping",
  "foreign-breakpoint",
  "too-many",
  "shadow-stack",
  "unseen-fault",
  "not-in-one-step",
  // The place, in a kernel.
  "noinstr-text",
  "entry-text",
  "kprobe-blacklist",
  "init-text",
  "alternative-text",
  "patched-text",
  "debugger-text",
  "padding",
  // Where its copy would go, at the first hit.
  "seccomp",
  "no-room",
  "out-of-reach",
  "no-slot",
] as const;

export type RefusalReason = (typeof REFUSAL_REASONS)[number];
