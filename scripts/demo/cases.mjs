// The table of the demo: the mail's words, what this run made of them, and what it had to be.

/** @typedef {import("./sessions.mjs").Session} Session */
/** @typedef {"fenced" | "fenced_after" | "on_post" | "on_fault" | "both_well" | "both_badly" | "told" | "implicit" | "climbed"} Counter */
/** @typedef {{ told: number, taken: number, released: number, message: string, holding: string }} Intercepted */

/** Faults of dodgy.pl: rounds of 1, 2 and 3, three exceptions, and the last. All but the last seven are retried. */
const RETRIED = 1 + 2 + 3;
const FAULTS = RETRIED + 3 + 1;
const MAXFAULT = 64;

/**
 * @param {Session} session  of dodgy.stp on dodgy.pl
 * @param {{ typescript: Intercepted }} kprobes
 * @param {string} messages  standard error of the same session without --json
 * @returns {{ case: string, words: string, happened: string, good: boolean }[]}
 */
export function casesOf(session, kprobes, messages) {
  const counts = countsIn(session.printed);
  const [fence, record, cancelled, post, fault, both, implicit, fencedPost, cancelledPost, climber] =
    session.probes;
  if (
    !fence ||
    !record ||
    !cancelled ||
    !post ||
    !fault ||
    !both ||
    !implicit ||
    !fencedPost ||
    !cancelledPost ||
    !climber
  ) {
    return [{ case: "all", words: "ten probes", happened: `${session.probes.length} reported`, good: false }];
  }
  const said = (/** @type {string} */ text) => session.printed.includes(text);
  const line = (/** @type {string} */ start) =>
    session.printed
      .split("\n")
      .find((each) => each.startsWith(start))
      ?.slice(start.length)
      .trim() ?? "nothing was printed";
  const summaries = (/** @type {{ source: string }} */ probe) =>
    messages
      .split("\n")
      .filter((each) => each.startsWith("WARNING: probe") && each.includes(`at ${probe.source}:`)).length;
  const { typescript } = kprobes;
  return [
    {
      case: "1",
      words: "the pre-handler continues with something else",
      happened: `${fence.fencedFaults} faults fenced, catch ran ${counts.fenced} times, ${fence.handlerFaults} cancelled: "${line("case 1: yes").replace(/^,/, "yes,")}"`,
      good:
        fence.fencedFaults === FAULTS &&
        counts.fenced === FAULTS &&
        fence.handlerFaults === 0 &&
        said("case 1: yes, that was dodgy"),
    },
    {
      case: "1",
      words: "one or more items were not available",
      happened: `record written: ${line("case 1: a record of five items:")}`,
      good:
        record.fencedFaults === 2 && line("case 1: a record of five items:").split("not-there").length === 3,
    },
    {
      case: "2",
      words: "quietly cancel the pre-handler",
      happened: `${cancelled.handlerFaults} of ${cancelled.hits} calls cancelled, ${plural(summaries(cancelled), "line")} said at the end, session status ${session.status}`,
      good: cancelled.handlerFaults === FAULTS && summaries(cancelled) === 1 && session.status === 0,
    },
    {
      case: "2",
      words: "free off any locks and put out a message",
      happened: `faultHandler told ${typescript.told} times ("${typescript.message}"), holding ${typescript.holding}; ${typescript.taken} taken, ${typescript.released} released`,
      good:
        typescript.told === FAULTS &&
        typescript.taken === typescript.released &&
        typescript.holding === "the lock",
    },
    {
      case: "3",
      words: "duplicated trace records, one for each retry",
      happened: `${post.hits} arrivals, ${post.instructionFaults} raised an exception: ${counts.on_post} records, ${post.hits - post.instructionFaults - counts.on_post} of them duplicates`,
      good: post.instructionFaults === FAULTS && counts.on_post === post.hits - post.instructionFaults,
    },
    {
      case: "3a",
      words: "only called if the single-step results in an exception",
      happened: `called ${counts.on_fault} times for ${fault.instructionFaults} exceptions; the first: ${line("case 3a:")}`,
      good:
        counts.on_fault === FAULTS &&
        fault.instructionFaults === FAULTS &&
        said("case 3a: SIGSEGV at 0x100000000000, retryable"),
    },
    {
      case: "3a",
      words: "not retryable: never get the chance to record it",
      happened: `implicitly, ${plural(counts.implicit, "call")}: ${line("case 3a, implicitly:")}`,
      good: counts.implicit === 1 && said("case 3a, implicitly: SIGSEGV, and nothing will retry it"),
    },
    {
      case: "3b",
      words: "have the call indicate which has happened",
      happened: `one handler: told "completed" ${counts.both_well} times, "exception" ${counts.both_badly} times`,
      good: counts.both_badly === FAULTS && counts.both_well === both.hits - FAULTS,
    },
    {
      case: "3b",
      words: "the number of times an instruction is retried",
      happened: `${fault.retries} retries (1 + 2 + 3 in the program's three rounds)`,
      good: fault.retries === RETRIED,
    },
    {
      case: "4",
      words: "same consideration as pre-handler (expected)",
      happened: `${fencedPost.fencedFaults} faults fenced, ${fencedPost.handlerFaults} cancelled: "${line("case 4: yes").replace(/^,/, "yes,")}"`,
      good:
        fencedPost.fencedFaults === 5 &&
        fencedPost.handlerFaults === 0 &&
        said("case 4: yes, that was dodgy"),
    },
    {
      case: "5",
      words: "same consideration as pre-handler (unexpected)",
      happened: `${cancelledPost.handlerFaults} calls cancelled, ${plural(summaries(cancelledPost), "line")} said at the end`,
      good: cancelledPost.handlerFaults === 5 && summaries(cancelledPost) === 1 && !said("not reached"),
    },
    {
      case: "",
      words: "maxfault: exit recursive fault situations",
      happened: `a handler that faults for ever was left after ${counts.climbed} fenced faults`,
      good: climber.fencedFaults === MAXFAULT && counts.climbed === MAXFAULT && climber.handlerFaults === 1,
    },
  ];
}

/** @param {string} printed @returns {Record<Counter, number>} what is missing is NaN */
function countsIn(printed) {
  const line = printed.split("\n").find((each) => each.startsWith("counts ")) ?? "";
  const value = (/** @type {Counter} */ name) => Number(new RegExp(` ${name}=(\\d+)`).exec(line)?.[1]);
  return {
    fenced: value("fenced"),
    fenced_after: value("fenced_after"),
    on_post: value("on_post"),
    on_fault: value("on_fault"),
    both_well: value("both_well"),
    both_badly: value("both_badly"),
    told: value("told"),
    implicit: value("implicit"),
    climbed: value("climbed"),
  };
}

/** @param {number} count @param {string} noun */
function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
