import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";

const GCC = needs("gcc");

/** A place of the program faulty.c where each phase comes so often. */
const STORE = { place: 'process.function("the_store")', pre: 10, post: 5, fault: 5 };
const PHASES = ["pre", "post", "fault"] as const;

/** Runs a script on faulty.c, whose own line and status must be as bare. @returns what the script printed */
function onFaulty(
  script: string,
  ...options: readonly string[]
): { text: string; stderr: string; status: number | null } {
  const program = target("faulty");
  const bare = run(program);
  const outcome = trapline("-e", script, "-c", program, ...options);
  return { text: printed(outcome, bare), stderr: outcome.stderr, status: outcome.status };
}

for (const phase of PHASES) {
  const calls = STORE[phase];

  test(`[S1 ${phase}] a record with two bad items of five is written whole, those two marked`, GCC, () => {
    const { text, stderr, status } = onFaulty(`
      global lines
      function item:string(address:long) { try { return sprintf("%d", user_int8(address)) } catch { return "?" } }
      probe ${phase} ${STORE.place} {
        sp = register("rsp")
        record = sprintf("%s,%s,%s,%s,%s", item(sp), item(8), item(sp + 1), item(-8), item(sp + 2))
        if (record =~ "^-?[0-9]+,[?],-?[0-9]+,[?],-?[0-9]+$") lines++
      }
      probe end { println(lines) }`);
    assert.equal(text, `${String(calls)}\n`);
    assert.equal(stderr, "", "nothing is cancelled, nothing is said");
    assert.equal(status, 0);
  });

  test(`[S2 ${phase}] an unfenced fault cancels the handler quietly: one located line, status 0`, GCC, () => {
    const { text, stderr, status } = onFaulty(
      `global before, after
       probe ${phase} ${STORE.place} { before++; user_int8(8); after++ }
       probe end { printf("%d %d\\n", before, after) }`,
    );
    assert.equal(text, `${String(calls)} 0\n`);
    assert.match(
      stderr,
      new RegExp(
        `^WARNING: probe .* at <input>:2:\\d+: ${String(calls)} of 10 hits cancelled by a handler fault; the first: read fault at 0x8 .*user_int8.*\\n$`,
      ),
    );
    assert.equal(status, 0);
  });

  test(`[S7b ${phase}] past MAXFAULT the next fault leaves the handler, fences or not`, GCC, () => {
    const { text, status } = onFaulty(
      `global caught, through
       probe ${phase} ${STORE.place} { for (i = 0; i < 20; i++) { try { user_int8(8) } catch { caught++ } } through++ }
       probe end { printf("%d %d\\n", caught, through) }`,
      "-D",
      "MAXFAULT=5",
      "-w",
    );
    assert.equal(text, `${String(calls * 5)} 0\n`);
    assert.equal(status, 0);
  });

  test(
    `[S8 ${phase}] after a catch part the statements behind it run; rethrown errors reach the outer catch; next leaves`,
    GCC,
    () => {
      const { text } = onFaulty(
        `global outer, behind, never
       probe ${phase} ${STORE.place} {
         try { try { user_int8(8) } catch (m) { error("again: " . m) } } catch (n) { if (n =~ "^again: ") outer++ }
         behind++
         try { next } catch { never++ }
         never++
       }
       probe end { printf("%d %d %d\\n", outer, behind, never) }`,
      );
      assert.equal(text, `${String(calls)} ${String(calls)} 0\n`);
    },
  );

  test(`[S10 ${phase}] however a handler ends, the books of the hit are the same`, GCC, () => {
    for (const body of ["x++", "user_int8(8)", "next"]) {
      const { text } = onFaulty(
        `global x, s probe ${phase} ${STORE.place} { ${body} } probe end { println("over") }`,
        "-t",
        "-w",
      );
      const row = text.split("\n").find((line) => line.includes("the_store"));
      assert.match(row ?? "", /^trap +10 +0 +5 +/, `hits, missed and retries after: ${body}`);
    }
  });

  test(`[S7a ${phase}] one helper called fenced and unfenced, recursively, is told apart`, GCC, () => {
    const { text, stderr } = onFaulty(
      `global fenced, through
       function dodgy(depth) { if (depth == 0) return user_int8(8); return dodgy(depth - 1) }
       probe ${phase} ${STORE.place} {
         try { dodgy(3) } catch { fenced++ }
         dodgy(3)
         through++
       }
       probe end { printf("%d %d\\n", fenced, through) }`,
    );
    assert.equal(text, `${String(calls)} 0\n`);
    assert.match(stderr, new RegExp(`${String(calls)} of 10 hits cancelled`));
  });

  test(
    `[S3d ${phase}] a handler fault in this phase and an instruction fault at the same place are counted apart`,
    GCC,
    () => {
      const { text } = onFaulty(
        `probe ${phase} ${STORE.place} { user_int8(8) } probe end { println("over") }`,
        "-t",
        "-w",
      );
      const row = text.split("\n").find((line) => line.includes("the_store")) ?? "";
      const [, hits, , retries, fenced, handler, instruction] = row.split(/ +/);
      assert.deepEqual(
        { hits, retries, fenced, handler, instruction },
        { hits: "10", retries: "5", fenced: "0", handler: String(calls), instruction: "5" },
      );
    },
  );

  test(`[S6 ${phase}] the engine goes straight to the innermost catch`, GCC, () => {
    const { text } = onFaulty(
      `global order
       probe ${phase} ${STORE.place} {
         if (order != "") next
         try { order .= "a"; try { order .= "b"; user_int8(8); order .= "!" } catch { order .= "c" } order .= "d" } catch { order .= "!" }
         order .= "e"
       }
       probe end { println(order) }`,
    );
    assert.equal(text, "abcde\n");
  });

  test(`[S11 ${phase}] probe ${phase} syscall.open: the mail's own words`, needs("perl"), () => {
    const perl = [
      "-e",
      '$a = "/etc/passwd"; $b = "/nonexistent"; $p = 8; $f = 0; $n = 2; syscall($n, $a, $f); syscall($n, $b, $f); syscall($n, $p + 0, $f)',
    ];
    const { stdout, status } = trapline(
      "-e",
      `global n probe ${phase} syscall.open { n++ } probe end { println(n) }`,
      "-c",
      `perl ${perl.map((word) => `'${word}'`).join(" ")}`,
    );
    const ends = { pre: 3, post: 2, fault: 1 };
    assert.equal(stdout, `${String(ends[phase])}\n`);
    assert.equal(status, 0);
  });

  test(`[S3c ${phase}] a retry is told from a new hit by probe_retries()`, GCC, () => {
    const seen = { pre: "5 5", post: "0 5", fault: "5 0" };
    const { text } = onFaulty(
      `global first, again
       probe ${phase} ${STORE.place} { if (probe_retries()) again++; else first++ }
       probe end { printf("%d %d\\n", first, again) }`,
    );
    assert.equal(text, `${seen[phase]}\n`);
  });
}

test(
  "[S3 pre] [S3 post] [S3 fault] an instruction fault: pre on each try, post once it completes, fault once it faults; the program sees all as bare",
  GCC,
  () => {
    const { text, stderr } = onFaulty(
      `global a, b, c
     probe pre ${STORE.place} { a++ }
     probe post ${STORE.place} { b++ }
     probe fault ${STORE.place} { c++; if (fault_name() != "SIGSEGV" || fault_code() != 2 || !fault_retryable()) error("not so") }
     probe end { printf("%d %d %d\\n", a, b, c) }`,
    );
    assert.equal(text, "10 5 5\n");
    assert.equal(stderr, "");
  },
);

test("[S3 fault] a fault whose handler jumps away is no retry, again and again", GCC, () => {
  const { text } = onFaulty(
    `global hits, faults, retries
     probe pre process.function("the_divide") { hits++; retries += probe_retries() }
     probe fault process.function("the_divide") { faults++ }
     probe end { printf("%d %d %d\\n", hits, faults, retries) }`,
  );
  assert.equal(text, "7 7 0\n");
});

test(
  "[S3a post] [S3a fault] the fault phase is called only if registered, and only when the instruction faulted",
  GCC,
  () => {
    const { text } = onFaulty(
      `global fault, post
     probe fault ${STORE.place} { fault++ }
     probe post ${STORE.place} { post++ }
     probe fault process.function("the_work") { fault += 1000 }
     probe end { printf("%d %d\\n", fault, post) }`,
    );
    assert.equal(text, "5 5\n");
  },
);

test("[S3b post] [S3b fault] one handler for both outcomes is told which", GCC, () => {
  const { text } = onFaulty(
    `global faulty, fine
     probe post, fault ${STORE.place} { if (faulted()) faulty++; else fine++ }
     probe end { printf("%d %d\\n", faulty, fine) }`,
  );
  assert.equal(text, "5 5\n");
});

test("[S3c fault] a trap is not retryable", GCC, () => {
  const { text } = onFaulty(
    `global traps
     probe fault process.function("the_trap") { if (fault_name() == "SIGTRAP" && !fault_retryable()) traps++ }
     probe end { println(traps) }`,
  );
  assert.equal(text, "3\n");
});

test(
  "[S12 pre] [S12 fault] a probe that mentions faulted() is called once more for an exception that is not retried",
  GCC,
  () => {
    const program = target("faulty");
    const bare = run(program, "die");
    assert.equal(bare.signal, "SIGSEGV");
    const outcome = trapline(
      "-e",
      `global pre, fault
     probe process.function("the_trap") { if (faulted()) fault++; else pre++ }
     probe process.function("the_store") { if (faulted()) error("retried, so not told") }
     probe process.function("the_death") { if (faulted()) printf("died of %s at %d\\n", fault_name(), fault_address()) }
     probe end { printf("%d %d\\n", pre, fault) }`,
      "-c",
      `${program} die`,
    );
    assert.equal(printed(outcome, bare), "died of SIGSEGV at 0\n3 3\n");
    assert.match(outcome.stderr, /killed by|signal 11|SIGSEGV/);
    assert.equal(outcome.status, 0);
  },
);

test("[S10 pre] a place that had MAXHITS hits is disarmed, and the end says so", GCC, () => {
  const script = `global n probe ${STORE.place} { n++ } probe process.function("the_load")? { n++ } probe end { println(n) }`;
  const { text, stderr, status } = onFaulty(script, "-D", "MAXHITS=3");
  assert.match(text, /^[36]\n$/);
  assert.match(stderr, /^WARNING: probe .*the_store.*: 1 place disarmed after MAXHITS hits each\n/);
  assert.equal(status, 0);
});
