// The client and a real gdbserver: all that it offers.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { RegisterFile } from "../../../../src/arch/x86_64/registers.js";
import type { Address } from "../../../../src/base/address.js";
import { BREAK, type ClientOptions, GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import { StubError, StubRefusal } from "../../../../src/targets/gdb/protocol/errors.js";
import { HostFileError } from "../../../../src/targets/gdb/protocol/transfer.js";
import { needs } from "../../../support/needs.js";
import { target } from "../../../support/programs.js";

const NEEDS = needs("gcc", "gdbserver");
const soon = (): number => performance.now() + 10_000;

/** A program of a fixed address, stopped before its first instruction. */
function serve(options: ClientOptions & { readonly words?: string } = {}): {
  client: GdbClient;
  symbol: (name: string) => Address;
} {
  const program = target("crashes");
  const client = GdbClient.connect(
    `| gdbserver --once - ${program} ${options.words ?? ""} 2>/dev/null`,
    options,
  );
  // Where the program begins in memory; addresses of a position-independent one count from there.
  const base = Number.parseInt(mapsOf(client), 16);
  const symbols = new Map(
    execFileSync("nm", [program], { encoding: "utf8" })
      .split("\n")
      .map((line) => line.split(" "))
      .map(([value = "", , name = ""]) => [name, Number.parseInt(value, 16)]),
  );
  const symbol = (name: string): Address => {
    const value = symbols.get(name);
    if (value === undefined) throw new Error(`no symbol ${name}`);
    return (value < base ? base + value : value) as Address;
  };
  return { client, symbol };
}

function mapsOf(client: GdbClient): string {
  const process = client.threads()[0]?.process;
  return client.files.read(`/proc/${String(process)}/maps`).toString("latin1");
}

test("what there is: threads, registers, memory, auxv, the program's file, commands", NEEDS, () => {
  using client = serve().client;
  const [thread, ...more] = client.threads();
  assert.ok(thread !== undefined && more.length === 0);
  const stop = client.stopReason();
  assert.ok(stop?.kind === "stopped" && stop.thread === thread);
  assert.ok(client.isAlive(thread));
  const registers = new RegisterFile();
  client.readRegisters(registers);
  assert.ok(registers.pc > 0x10000 && registers.sp > 0x10000);
  assert.equal(client.readRegister("rip"), registers.read("rip"));
  assert.equal(client.readRegister("nothing"), undefined);
  registers.write("r12", 0x1234_5678_9abc_def0n);
  client.writeRegisters(registers);
  client.writeRegister("r13", 7n);
  client.readRegisters(registers);
  assert.deepEqual([registers.read("r12"), registers.read("r13")], [0x1234_5678_9abc_def0n, 7n]);
  assert.ok(client.readObject("auxv").length > 100);
  assert.match(Buffer.from(client.readObject("exec-file")).toString(), /crashes$/);
  assert.match(client.monitor("help"), /monitor commands/);
  assert.throws(() => client.monitor("nonsense"), StubError);
  assert.throws(() => client.readObject("nothing"), StubError);
  assert.equal(client.query("qNothingOfTheKind"), "");
  client.kill(thread.process);
});

test("memory across a page that is not there; written and read again, large and odd", NEEDS, () => {
  using client = serve().client;
  const registers = new RegisterFile();
  client.readRegisters(registers);
  const top = Number.parseInt(/-([0-9a-f]+) .*\[stack\]/.exec(mapsOf(client))?.[1] ?? "", 16);
  const into = new Uint8Array(30_000);
  assert.equal(client.readMemory((top - 20_000) as Address, into), 20_000, "up to the end of the stack");
  assert.equal(client.readMemory(8 as Address, into), 0);
  const bytes = Uint8Array.from({ length: 15_001 }, (_, index) => index * 7);
  const at = (top - 16_000) as Address;
  assert.equal(client.writeMemory(at, bytes), bytes.length);
  assert.equal(client.readMemory(at, into, 0, bytes.length), bytes.length);
  assert.deepEqual(into.subarray(0, bytes.length), bytes);
  assert.equal(client.writeMemory(8 as Address, bytes), 0);
  client.kill(client.threads()[0]?.process);
});

test("breakpoints, watchpoints, steps, signals, the end", NEEDS, () => {
  const { client: made, symbol } = serve({ words: "fault" });
  using client = made;
  const registers = new RegisterFile();
  assert.ok(client.insert(BREAK.software, symbol("faults"), 1));
  assert.throws(() => client.insert(BREAK.software, 8 as Address, 1), StubRefusal);
  const stops: string[] = [];
  client.continueAll();
  for (;;) {
    const stop = client.waitStop(soon());
    assert.ok(stop !== undefined);
    if (stop.kind !== "stopped") {
      assert.deepEqual([stop.kind, "signal" in stop && stop.signal], ["killed", 11]);
      break;
    }
    stops.push(stop.reason?.kind ?? String(stop.signal));
    assert.ok(stop.thread !== undefined);
    if (stop.reason?.kind !== "swbreak") {
      client.resume([
        { thread: stop.thread, how: "continue", signal: stop.signal === 17 ? undefined : stop.signal },
      ]);
      continue;
    }
    client.readRegisters(registers);
    assert.equal(registers.pc, symbol("faults"));
    client.remove(BREAK.software, symbol("faults"), 1);
    client.resume([{ thread: stop.thread, how: "step" }]);
    const stepped = client.waitStop(soon());
    stops.push(stepped?.kind === "stopped" ? `step ${String(stepped.signal)}` : "gone");
    if (stepped?.kind === "stopped" && stepped.signal === 11) {
      const siginfo = new DataView(client.readObject("siginfo").buffer);
      assert.equal(siginfo.getBigUint64(16, true), 16n, "si_addr");
      client.resume([{ thread: stop.thread, how: "continue", signal: 11 }]);
      continue;
    }
    client.insert(BREAK.software, symbol("faults"), 1);
    client.continueAll();
  }
  assert.deepEqual(stops, ["17", "swbreak", "step 5", "swbreak", "step 11"]);
});

test("host files: what is there, what is not, links", NEEDS, () => {
  using client = serve().client;
  assert.match(client.files.read("/proc/self/comm").toString(), /^gdbserver/);
  assert.match(client.files.readlink("/proc/self/exe"), /gdbserver$/);
  assert.throws(
    () => client.files.read("/nonexistent"),
    (error) => error instanceof HostFileError && error.errno === 2 && error.message.includes("ENOENT"),
  );
  assert.throws(() => client.files.readlink("/"), HostFileError);
  const libc = client.files.read("/proc/self/exe");
  assert.ok(libc.length > 100_000 && libc.subarray(1, 4).toString() === "ELF");
  client.kill(client.threads()[0]?.process);
});

test("non-stop: threads stop by themselves", NEEDS, () => {
  using client = GdbClient.connect(`| gdbserver --once - ${target("steady")} 3 2>/dev/null`, {
    nonStop: true,
  });
  assert.ok(client.isNonStop);
  client.stopReason();
  const [main] = client.threads();
  assert.ok(main !== undefined);
  client.continueAll();
  const end = soon();
  while (client.threads().length < 4) assert.ok(performance.now() < end);
  const others = client.threads().filter((thread) => thread !== main);
  const [one, other] = others;
  assert.ok(one !== undefined && other !== undefined);
  for (const thread of [one, other]) {
    client.stop(thread);
    const stop = client.waitStop(soon());
    assert.ok(stop?.kind === "stopped" && stop.thread === thread && stop.signal === 0);
    client.select(thread);
    const registers = new RegisterFile();
    client.readRegisters(registers);
    assert.ok(registers.pc !== 0);
  }
  assert.equal(client.waitStop(performance.now() + 50), undefined);
  client.resume([{ thread: one, how: "step" }]);
  const stepped = client.waitStop(soon());
  assert.ok(stepped?.kind === "stopped" && stepped.thread === one && stepped.signal === 5);
  client.kill(main.process);
});

test("extended: programs are started and attached to, and the stub stays", NEEDS, () => {
  using client = GdbClient.connect("| gdbserver --multi - 2>/dev/null", { extended: true });
  assert.ok(client.isExtended);
  assert.deepEqual(client.threads(), []);
  for (let round = 0; round < 2; round++) {
    const stop = client.start(["/bin/true"]);
    assert.ok(stop.kind === "stopped");
    assert.ok((client.readRegister("rip") ?? 0n) > 0x10000n);
    assert.notEqual(client.layout.find("orig_rax"), undefined);
    client.continueAll();
    assert.equal(client.waitStop(soon())?.kind, "exited");
  }
  client.start(["/bin/sleep", "1000"]);
  const process = client.threads()[0]?.process;
  assert.ok(process !== undefined);
  client.detach(process);
  execFileSync("kill", ["-9", String(process)]);
  // Last, since gdbserver answers to each of these more than once.
  assert.throws(() => client.attach(2 ** 30), StubRefusal);
});
