// Probes on the instruction `syscall`: what it leaves in registers, where children begin, where an
// interrupted call is taken up again, and calls that do not come back.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kprobe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");

interface Books {
  readonly completed: number;
  readonly abandoned?: number;
}

/** What calls.c does at each of its places, in itself and in its children. */
const PLACES: Readonly<Record<string, Books>> = {
  the_getpid: { completed: 4 },
  the_fork: { completed: 2 },
  the_vfork: { completed: 1 },
  the_vfork_exit: { completed: 0, abandoned: 1 },
  the_clone: { completed: 1 },
  the_thread_exit: { completed: 0, abandoned: 1 },
  // Interrupted once, and made again.
  the_read: { completed: 2 },
  the_pause: { completed: 1 },
  // Taken up again by restart_syscall: the program never comes by a second time.
  the_nanosleep: { completed: 1 },
  // Two that fail, one that does not come back.
  the_execve: { completed: 2, abandoned: 1 },
  the_exit: { completed: 0, abandoned: 2 },
};
/** A handler's way back: with a second stop behind it, it is seen that it did not get there. */
const SIGRETURN: Readonly<Record<string, Books>> = { the_sigreturn: { completed: 0, abandoned: 3 } };

const quiet = (): undefined => undefined;
const PHASES: Readonly<
  Record<string, { handlers: Partial<Kprobe>; places: Readonly<Record<string, Books>> }>
> = {
  pre: { handlers: { preHandler: quiet }, places: PLACES },
  fault: { handlers: { postFaultHandler: quiet }, places: PLACES },
  post: { handlers: { postHandler: quiet }, places: { ...PLACES, ...SIGRETURN } },
  "pre, post and fault": {
    handlers: { preHandler: quiet, postHandler: quiet, postFaultHandler: quiet },
    places: { ...PLACES, ...SIGRETURN },
  },
};

for (const [phases, { handlers, places }] of Object.entries(PHASES)) {
  test(
    `system calls, their children, restarts and ends are as bare when probed: ${phases}`,
    GCC,
    async () => {
      const program = target("calls");
      const bare = run(program);
      assert.equal(bare.status, 0);
      const { output, status, probes } = await traced(
        [program],
        Object.keys(places).map((symbolName) => ({ symbolName, ...handlers })),
      );
      assert.equal(output, bare.stdout);
      assert.deepEqual(status, SUCCESS);
      for (const { name, hits, completed, abandoned, faulted, nmissed, retries } of probes) {
        const wanted = { abandoned: 0, ...places[name] };
        assert.deepEqual(
          { hits, completed, abandoned, faulted, nmissed, retries },
          {
            hits: (wanted.completed ?? NaN) + wanted.abandoned,
            ...wanted,
            faulted: 0,
            nmissed: 0,
            retries: 0,
          },
          name,
        );
      }
    },
  );
}

test(
  "a post-handler behind a system call sees its result, and the registers where the program has them",
  GCC,
  async () => {
    const seen: string[] = [];
    await traced(
      [target("calls")],
      [
        {
          symbolName: "the_getpid",
          postHandler(_p, { rax, rcx, rip, r11 }, _k, { thread, at }) {
            const flags = (r11 & 0x41n).toString(16);
            seen.push(
              `${String(rax === BigInt(thread))} rcx ${String(rcx - BigInt(at))} rip ${String(rip - BigInt(at))} ${flags}`,
            );
          },
        },
        {
          symbolName: "the_execve",
          postHandler(_p, { rax }) {
            seen.push(`execve ${String(BigInt.asIntN(64, rax))}`);
          },
        },
      ],
    );
    // ENOENT, EFAULT; the one that does not come back has no post.
    assert.deepEqual(seen, [
      ...Array.from({ length: 4 }, () => "true rcx 2 rip 2 41"),
      "execve -2",
      "execve -14",
    ]);
  },
);
