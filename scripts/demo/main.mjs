// `npm run demo`: the main job, on programs that every Debian machine has, in less than a minute.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, main } from "../lib/project.mjs";
import { casesOf } from "./cases.mjs";
import { costs } from "./cost.mjs";
import { bare, kprobes, messagesOf, probed } from "./sessions.mjs";

const SCRIPT = join("scripts", "demo", "dodgy.stp");
const COMMAND = ["perl", join(ROOT, "scripts/demo/dodgy.pl")];
const BUSY = ["perl", join(ROOT, "scripts/demo/busy.pl")];
const LATENCY = `global from, took
probe process("perl").library("libc.so.6").function("read") { from[tid()] = gettimeofday_ns() }
probe process("perl").library("libc.so.6").function("read").return {
  if (tid() in from) took <<< gettimeofday_ns() - from[tid()]
}
probe end { print(@hist_log(took)) }`;

await main(() => {
  process.chdir(ROOT);
  /** @type {string[]} what was not as it must be */
  const wrong = [];
  const say = (/** @type {string} */ text) => process.stdout.write(`${text}\n`);
  const must = (/** @type {boolean} */ good, /** @type {string} */ what) => {
    if (!good) wrong.push(what);
    return good ? "ok" : "NOT AS IT MUST BE";
  };

  say("A program that faults ten times: six loads are tried again, three become exceptions, one kills it.");
  const alone = bare(COMMAND);
  const found = kprobes(COMMAND);
  say(`Where: strlen+${found.offset} in libc, \`${found.instruction}\`. On that instruction, this script:\n`);
  say(indented(readFileSync(SCRIPT, "utf8")));

  const script = [SCRIPT, `0x${found.address.toString(16)}`];
  const session = probed(script, COMMAND);
  const messages = messagesOf(script, COMMAND);
  say("1. The program, bare and with ten handlers on the faulting instruction:\n");
  say(`     bare    output sha256 ${alone.hash}  ended: ${alone.ending}`);
  say(`     probed  output sha256 ${session.program.hash}  ended: ${session.program.ending}`);
  const equal = alone.hash === session.program.hash && alone.ending === session.program.ending;
  say(`     ${equal ? "equal" : "DIFFERENT"}\n`);
  must(equal && alone.output.includes("round 3"), "output and status of the probed program");
  must(alone.ending === "SIGSEGV", "the program dies of its last fault");

  say("2. What the mail asks, and what came of it in this run:\n");
  for (const row of casesOf(session, found, messages)) {
    say(
      `  ${row.case.padEnd(3)} ${`"${row.words}"`.padEnd(60)} ${must(row.good, `case ${row.case}: ${row.words}`)}`,
    );
    say(`        ${row.happened}`);
  }

  say("\n3. Latency of read() in a busy program, nanoseconds:\n");
  const quiet = bare(BUSY);
  const busy = probed(["-e", LATENCY], BUSY);
  say(indented(busy.printed));
  const reads = busy.probes[0]?.hits ?? 0;
  const same = quiet.hash === busy.program.hash && quiet.ending === busy.program.ending;
  say(`   ${reads} reads; its output is ${same ? "the one it has bare" : "DIFFERENT"}.\n`);
  must(same && reads >= 5000 && busy.printed.includes("@"), "the busy program");

  say("4. What a hit costs:\n");
  const cost = costs();
  for (const line of cost.lines) say(`     ${line}`);
  must(cost.good, "every hit was counted");

  if (wrong.length === 0) return 0;
  say(`\nNot as it must be: ${wrong.join("; ")}`);
  say(messages);
  return 1;
});

/** @param {string} text */
function indented(text) {
  return text.replace(/^(?=.)/gm, "   ");
}
