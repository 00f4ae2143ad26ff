import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");

test(
  "[S3 post] [S3c post] a rep movsb of 1 MiB that faults twice is one instruction: pre 3, post 1, fault 2 a move, at once",
  GCC,
  async () => {
    const program = target("moves");
    const bare = run(program);
    assert.match(bare.stdout, /faults 6 bus errors 1 /);
    const order: string[] = [];
    const left: bigint[] = [];
    const begin = performance.now();
    const { output, status, probes } = await traced(
      [program],
      [
        {
          symbolName: "the_move",
          preHandler(_p, regs, _k, hit) {
            order.push(`pre ${String(hit.retries)}`);
            left.push(regs.rcx);
          },
          postHandler(_p, regs) {
            order.push("post");
            assert.equal(regs.rcx, 0n);
          },
          postFaultHandler(_p, _regs, _k, fault) {
            order.push(`${fault.name} ${fault.retryable ? "retryable" : "final"}`);
          },
        },
      ],
    );
    const milliseconds = performance.now() - begin;
    assert.equal(output, bare.stdout);
    assert.deepEqual(status, SUCCESS);
    const move = ["pre 0", "SIGSEGV retryable", "pre 1", "SIGSEGV retryable", "pre 2", "post"];
    assert.deepEqual(order, [...move, ...move, ...move]);
    // The registers tell how far it had come.
    assert.deepEqual(left.slice(0, 3), [1n << 20n, 1n << 19n, 1n << 18n]);
    const [probe] = probes;
    assert.ok(probe !== undefined);
    const { hits, completed, faulted, retries, errors } = probe;
    assert.deepEqual(
      { hits, completed, faulted, retries, errors },
      { hits: 9, completed: 3, faulted: 6, retries: 6, errors: [] },
    );
    // Stepped one iteration at a time it takes half a minute.
    assert.ok(milliseconds < 3000, `three moves, start and end took ${milliseconds.toFixed()} ms`);
  },
);

test(
  "[S3a fault] behind the end of a truncated file: SIGBUS with its address, and the retry completes",
  GCC,
  async () => {
    const program = target("moves");
    const bare = run(program);
    const told: string[] = [];
    const { output, probes } = await traced(
      [program],
      [
        {
          symbolName: "the_load",
          postFaultHandler(_p, _regs, _k, { name, number, code, address, retryable }) {
            told.push(
              `${name} ${String(number)} code ${String(code)} ${String(address !== undefined && address % 4096n)} ${String(retryable)}`,
            );
          },
        },
      ],
    );
    assert.equal(output, bare.stdout);
    // BUS_ADRERR: a page that the file does not have.
    assert.deepEqual(told, ["SIGBUS 7 code 2 0 true"]);
    const [probe] = probes;
    assert.ok(probe !== undefined);
    assert.deepEqual([probe.hits, probe.completed, probe.faulted, probe.retries], [4, 3, 1, 1]);
  },
);

test(
  "[S1 pre] a handler that reads behind the end of a truncated file faults there, fenced, and no signal reaches the program",
  GCC,
  async () => {
    const program = target("moves");
    const bare = run(program);
    const outcomes: string[] = [];
    const { output, probes } = await traced(
      [program],
      [
        {
          symbolName: "the_load",
          preHandler(_p, regs, k) {
            const register = [regs.rdi, regs.rax].find((value) => value % 4096n === 0n) ?? 0n;
            outcomes.push(k.ksetjmp(() => k.memory.uint8(register)) === 0 ? "read" : "not there");
          },
        },
      ],
    );
    assert.equal(output, bare.stdout);
    assert.deepEqual(outcomes, ["read", "not there", "read", "read"]);
    const [probe] = probes;
    assert.ok(probe !== undefined);
    assert.deepEqual([probe.fencedFaults, probe.handlerFaults, probe.faulted], [1, 0, 1]);
  },
);
