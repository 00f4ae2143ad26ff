import { type Address, addressOf, offsetBy, toBigInt } from "../../src/base/address.js";
import type { RegisterFile } from "../../src/arch/x86_64/registers.js";
import type { FakeMemory } from "./fake-memory.js";

/** What came of one instruction. */
export type Ran =
  | { readonly kind: "done" | "breakpoint" | "trap" | "system-call" }
  | { readonly kind: "fault"; readonly address: Address };

/** Executes what really stands at the program counter: so a wrong byte or a wrong counter leads astray at once. */
export function execute(registers: RegisterFile, memory: FakeMemory): Ran {
  const { pc } = registers;
  const first = byteAt(memory, pc);
  const second = memory.byte(pc + 1) ?? 0;
  switch (first) {
    case 0xcc:
      return on(registers, 1, "breakpoint");
    case 0x90:
      return on(registers, 1);
    case 0x0f:
      if (second === 0x1f) return on(registers, 3);
      break;
    case 0xff:
      if (second === 0x35)
        return push(registers, memory, wordAt(memory, pc + 6 + displacement(memory, pc + 2)), 6);
      if (second === 0xc0 || second === 0xc2 || second === 0xc6 || second === 0xc7) return on(registers, 2);
      break;
    case 0x8b: {
      const address = Number(registers.read("rbx")) as Address;
      return memory.access(address) ? on(registers, 2) : { kind: "fault", address };
    }
    case 0xcd:
      if (second === 0x80) return on(registers, 2, "system-call");
      if (second === 0x03) return on(registers, 2, "trap");
      break;
    case 0xeb:
      return on(registers, 2 + ((second << 24) >> 24));
    case 0xe9:
      return on(registers, 5 + displacement(memory, pc + 1));
    case 0xe8: {
      const distance = displacement(memory, pc + 1);
      const ran = push(registers, memory, toBigInt(offsetBy(pc, 5)), 5);
      return ran.kind === "done" ? on(registers, distance) : ran;
    }
    case 0xc3: {
      const { sp } = registers;
      if (!memory.access(sp)) return { kind: "fault", address: sp };
      const target = addressOf(wordAt(memory, sp));
      if (target === undefined) throw new Error("a thread returns to an address that cannot be");
      registers.sp = offsetBy(sp, 8);
      registers.pc = target;
      return { kind: "done" };
    }
    default:
  }
  throw new Error(`a thread ran into byte 0x${first.toString(16)} at 0x${pc.toString(16)}`);
}

function on(
  registers: RegisterFile,
  distance: number,
  kind: "done" | "breakpoint" | "trap" | "system-call" = "done",
): Ran {
  registers.pc = offsetBy(registers.pc, distance);
  return { kind };
}

function push(registers: RegisterFile, memory: FakeMemory, value: bigint, length: number): Ran {
  const below = offsetBy(registers.sp, -8);
  if (!memory.access(below)) return { kind: "fault", address: below };
  const word = new Uint8Array(8);
  new DataView(word.buffer).setBigUint64(0, value, true);
  memory.writeText(below, word);
  registers.sp = below;
  return on(registers, length);
}

function byteAt(memory: FakeMemory, at: number): number {
  const byte = memory.byte(at);
  if (byte === undefined) throw new Error(`a thread ran into unmapped memory at 0x${at.toString(16)}`);
  return byte;
}

function displacement(memory: FakeMemory, at: number): number {
  let value = 0;
  for (let index = 0; index < 4; index++) value |= byteAt(memory, at + index) << (8 * index);
  return value;
}

function wordAt(memory: FakeMemory, at: number): bigint {
  let value = 0n;
  for (let index = 7; index >= 0; index--) value = (value << 8n) | BigInt(byteAt(memory, at + index));
  return value;
}
