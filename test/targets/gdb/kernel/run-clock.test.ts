// How long a machine ran: by what it counts itself, and by the host's clock alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RunClock } from "../../../../src/targets/gdb/kernel/run-clock.js";

/** A machine that runs as it is told to, and whose stops are read late. */
class Ran {
  host = 1000n;
  counted: bigint | undefined = 77n;
  readonly clock = new RunClock(
    () => this.counted,
    () => this.host,
  );

  /** @param late how long it takes until it runs, and until its stop is read */
  run(time: bigint, late: bigint): void {
    this.clock.starts();
    this.host += late + time + late;
    if (this.counted !== undefined) this.counted += time;
    this.clock.stopped();
  }

  get told(): bigint {
    return this.clock.read(false);
  }
}

test("a machine that counts has run for as long as it counted, however late its stops are read", () => {
  const ran = new Ran();
  const begun = ran.told;
  ran.run(40n, 7n);
  ran.host += 1000n;
  ran.run(2n, 30n);
  assert.equal(ran.told - begun, 42n);
});

test("one that does not count is never told to have run for less than it did", () => {
  const ran = new Ran();
  ran.counted = undefined;
  const begun = ran.told;
  ran.run(40n, 7n);
  ran.host += 1000n;
  assert.equal(ran.told - begun, 54n);
});

test("a counter that was set to something else is begun with anew", () => {
  const ran = new Ran();
  const begun = ran.told;
  ran.run(10n, 1n);
  assert.equal(ran.told - begun, 10n);
  ran.counted = 5_000_000n;
  ran.run(10n, 1n);
  assert.equal(ran.told - begun, 22n, "as it looked from outside");
  ran.counted = 0n;
  ran.run(10n, 1n);
  assert.equal(ran.told - begun, 34n);
  ran.run(10n, 1n);
  assert.equal(ran.told - begun, 44n, "and as it counts again");
});

test("time does not go back where it was asked for while the machine ran", () => {
  const ran = new Ran();
  const begun = ran.told;
  ran.clock.starts();
  ran.host += 100n;
  const running = ran.clock.read(true) - begun;
  assert.equal(running, 100n);
  ran.counted = 77n + 60n;
  ran.clock.stopped();
  assert.equal(ran.told - begun, 100n);
  ran.run(50n, 0n);
  assert.equal(ran.told - begun, 110n);
});
