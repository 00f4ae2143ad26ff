// The rows of the requirement and the phases in which each can be seen: what the matrix must show.
// A row is the design's reading of the mail; docs/the-mail.md goes through them word by word.

/** @typedef {"pre" | "post" | "fault"} Phase */

/** The columns: the phase of the handler, or of the probe, in which the row was seen to hold. */
export const PHASES = /** @type {const} */ (["pre", "post", "fault"]);

/**
 * On which kind of target, with the columns of phases for each: what stands behind the phase in tags, and
 * above it in the table. A process, traced or behind gdbserver, and a kernel that runs behind a stub.
 */
export const TARGETS = /** @type {const} */ ([
  { tag: "", heading: "" },
  { tag: " kernel", heading: "kernel: " },
]);

/**
 * @typedef {object} Row
 * @property {string} row   its name in the design, in tags of tests and in the table
 * @property {string} says  in a few words
 * @property {Partial<Record<Phase, string>>} [never]  phases without a cell, each with the reason
 */

const AFTER_THE_STEP = "the row is about what runs after the instruction; a pre-handler runs before it";

/** @type {readonly Row[]} */
export const ROWS = [
  { row: "S1", says: "an expected exception in a handler is fenced; nothing is lost (cases 1, 4)" },
  { row: "S2", says: "an unexpected one cancels the handler quietly, and can be intercepted (cases 2, 5)" },
  {
    row: "S3",
    says: "an exception of the probed instruction: cleaned up, flags as bare, no post-handler (case 3)",
  },
  {
    row: "S3a",
    says: "a post-fault handler, called only if registered and the instruction faulted",
    never: { pre: AFTER_THE_STEP },
  },
  {
    row: "S3b",
    says: "or one post-handler for both, told which",
    never: { pre: AFTER_THE_STEP },
  },
  { row: "S3c", says: "exceptions that are not retried are told from those that are; retries are counted" },
  { row: "S3d", says: "instruction faults and handler faults go two ways and never meet" },
  { row: "S6", says: "`ksetjmp`: the engine does the longjmp; entering a fence is next to free" },
  { row: "S7a", says: "whether a fault was fenced is decided unequivocally" },
  { row: "S7b", says: "a maxfault counter gets out of recursive faults" },
  { row: "S8", says: "`try {} catch {}`, then on with what follows; `next`" },
  {
    row: "S9",
    says: "who does not need case 3 pays nothing: no single-step",
    never: { post: "a post phase is the one that needs the second stop; the row is about those without it" },
  },
  { row: "S10", says: "one way out of a hit, however its handlers ended" },
  { row: "S11", says: "`probe pre X`, `probe post X`, `probe fault X`" },
  {
    row: "S12",
    says: "case 3a without a phase word, by mention of `faulted()`",
    never: { post: "a probe without a phase word has no post phase; that it needs none is the row" },
  },
];
